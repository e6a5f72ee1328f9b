"""Worker processes: how the server starts, supervises and exchanges messages with the child processes for media."""
