"""The server process: its lifecycle, the wiring of its parts, listen sockets, HTTP, logging and the clock."""
