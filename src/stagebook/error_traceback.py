"""Removal of the traceback of an error that has been answered.

A traceback holds the frames that the error has passed through, with their local variables: the request, its
connection, and often the error itself, where a function raises what another one has returned. Such a reference cycle
keeps some 60 objects with their buffers until the garbage collector looks at them, and it counts objects, not bytes. So
each place that turns an error into an answer removes the traceback afterwards, and reference counts free the request.
"""


def drop_traceback(error: BaseException) -> None:
    """Remove the traceback of an error, and those of the errors that led to it. Log the error before."""
    each: BaseException | None = error
    while each is not None:
        each.__traceback__ = None
        each = each.__cause__ or each.__context__
