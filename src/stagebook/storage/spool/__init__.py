"""The spool: objects on disk until the store has them."""
