"""The copying of a book from one store to another, with all its keys, and the comparison of two books."""
