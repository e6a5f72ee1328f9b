"""Several stages over one websocket: RealTimeConnection of Amazon's Web Broadcast SDK."""
