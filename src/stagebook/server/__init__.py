"""The server process: wiring, lifecycle, sockets and HTTP."""
