"""The errors of every store of a book.

A failed book stops the server, a refused book stops its start, and a refused transaction is an error of the program.
"""

from stagebook.stage.errors import ServerBusyError


class BookFailedError(Exception):
    """The store failed or is closed. It accepts no more transactions.

    Transactions that were acknowledged stay durable. The server must stop after a failure.
    """


class BookTakenOverError(BookFailedError, ServerBusyError):
    """Another node has taken over from this one, which did not renew its lease in time. A new start is a new run.

    The server fails, but not the service: a client repeats its request, and the other node answers it.
    """


class BookUnavailableError(BookFailedError, ServerBusyError):
    """The database has not answered for as long as the server waits. The last transactions may have been written.

    The server fails. A client can repeat its request: the server starts again, or another node answers.
    """


class BookBusyError(Exception):
    """Housekeeping could not be done now: another program locks the file, or the disk is full. Nothing was changed."""


class BookDamagedError(BookFailedError):
    """A read met a part of the book that is not what the store wrote, for example after a fault of the disk.

    Other parts can be intact, so reads of a running server may go on. A server must not start on such a book. The
    message names the file and says what to do.
    """


class BookRefusedError(Exception):
    """The file cannot be opened as a book: it is locked, damaged, of a newer version or of another program.

    The message names the file and says what to do.
    """


class ChangeRefusedError(Exception):
    """A transaction contradicts the book, for example with an unknown participant or a second open session.

    This is a programming error of the writer. No change of the transaction was applied, and the book stays usable.
    """
