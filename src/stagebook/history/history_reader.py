"""The port for reads of the history: functions that run beside the server's event loop, never on it.

A read is a function at the top level of a module. Its first argument is the `HistoryFiles` of the reader that runs it;
the others, and its result, are passed between processes by pickle. It only reads, so it may be stopped at any time. It
should return a bounded amount of data, best in the form that is sent: then the event loop only passes on bytes.
"""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from stagebook.history.history_files import HistoryFiles

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class HistoryReader(Protocol):
    """Runs reads of the history."""

    async def run(
        self,
        read: Callable[Concatenate[HistoryFiles, Parameters], Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """Return `read(files, *args, **kwargs)`, or raise what it raises. It sees all that is durable at this moment.

        Raises ServerBusyError if too many reads wait, if the read takes too long, and if its process ends. A read whose
        caller is cancelled is stopped.
        """
