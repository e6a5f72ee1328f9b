"""The reads of a book in another process, on a pool of threads."""
