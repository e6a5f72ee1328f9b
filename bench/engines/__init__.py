"""One publisher on several engine processes."""
