"""The exit codes of the commands, and the error that ends a command with a message."""

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_PIPE_CLOSED = 141
"""The reader of the output has ended, for example `head`. Shells report this code for programs that SIGPIPE ended."""
EXIT_TERMINATED = 143


class CommandFailedError(Exception):
    """A command cannot do what it was asked to do. The message says why and what to do; it is printed."""
