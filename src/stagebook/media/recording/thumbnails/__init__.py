"""Thumbnails of recordings and compositions: which pictures they are of, and the thread that makes them."""
