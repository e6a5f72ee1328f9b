"""The HTTP server: connections within bounds, the decoding of requests, and websocket upgrades."""
