"""The tables and functions of a book in PostgreSQL, as SQL; `postgres_schema.py` makes them."""
