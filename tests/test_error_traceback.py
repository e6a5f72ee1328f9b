"""What an error keeps in memory after it was answered."""

import gc
import weakref
from collections.abc import Callable

import pytest

from stagebook.error_traceback import drop_traceback


class Request:
    """Something that a frame of the traceback holds."""


class RefusedError(Exception):
    """Raised by a function that holds it in a variable, so that the two refer to each other."""


def _refuse(request: Request) -> None:
    error = RefusedError(f"{type(request).__name__} refused")
    raise error


def _fail(request: Request) -> None:
    try:
        _refuse(request)
    except RefusedError as error:
        raise ValueError("failed") from error


@pytest.mark.parametrize("function", [_refuse, _fail], ids=["error", "error with a cause"])
def test_reference_counts_free_what_the_frames_of_an_answered_error_held(function: Callable[[Request], None]) -> None:
    request = Request()
    freed = weakref.ref(request)
    gc.disable()
    try:
        try:
            function(request)
        except (RefusedError, ValueError) as error:
            drop_traceback(error)
        del request
        assert freed() is None
    finally:
        gc.enable()


def test_an_error_whose_traceback_was_dropped_has_its_text_and_its_cause() -> None:
    with pytest.raises(ValueError, match="failed") as raised:
        _fail(Request())
    drop_traceback(raised.value)
    assert (str(raised.value), str(raised.value.__cause__)) == ("failed", "Request refused")
