"""Writing to tables: the queue of transactions, the thread that commits them, and a book that has both."""
