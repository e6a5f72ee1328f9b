"""The search of events: an index beside the book, plans of queries, and the task that keeps the index up to date."""
