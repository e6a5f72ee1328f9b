"""The two dialects of the events websocket: the simple one, and that of Amazon's Web Broadcast SDK."""
