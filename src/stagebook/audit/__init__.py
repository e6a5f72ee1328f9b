"""The rules of the book: an import keeps them, and a check finds where a book breaks them."""
