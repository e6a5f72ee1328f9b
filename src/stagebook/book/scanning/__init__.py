"""The scan of a whole book, in either store: all rows once, as they were at one moment."""
