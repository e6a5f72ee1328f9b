"""The book in PostgreSQL, which several nodes share: the tables of the SQLite book, and who may write them."""
