"""`serve()`: a server for a block, for a function, or for a class of tests, in the manner of moto's `mock_aws`."""

import functools
import inspect
import threading
import unittest
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, TypeVar, cast, overload

from stagebook.testing.running_server import StagebookServer
from stagebook.testing.server_start import ServerStart

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

SERVER_PARAMETER = "server"
"""The parameter with which a decorated function receives its server, if it has one of this name."""


@overload
def serve(decorated: Decorated, /) -> Decorated: ...
@overload
def serve(decorated: None = None, /, **settings: str) -> "ServerContext": ...
def serve(decorated: Any = None, /, **settings: str) -> Any:
    """Start a server on free ports of the loopback interface, with a temporary folder.

    As a context manager it yields a StagebookServer:

        with serve() as server:
            ivs = server.client()

    As a decorator, with or without parentheses, it runs a function or each test of a class with a server of its own
    class or call, and sets the environment variables of AWS clients meanwhile. A function receives the server in its
    parameter `server`, if it has one; a test of a class finds it in `self.server`.

    `settings` are settings of the server in the form of the command line: `serve(region="eu-west-1")`. `config` is the
    path of a TOML file: tables with secrets, such as `channels`, can only be set there. Raises ServerNotStartedError if
    the server does not start. It ends with the block, and in any case with this process.
    """
    context = ServerContext(settings)
    return context if decorated is None else context(decorated)


class ServerContext:
    """A context manager and decorator. It can be entered several times, each time with a server of its own."""

    def __init__(self, settings: dict[str, str]) -> None:
        self._settings = settings
        self._entered = threading.local()

    def __enter__(self) -> StagebookServer:
        stack, server = self._start()
        self._stacks.append(stack)
        return server

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stacks.pop().close()

    def __call__(self, decorated: Decorated) -> Decorated:
        """Decorate a function, a coroutine function or a class."""
        if isinstance(decorated, type):
            return cast("Decorated", _decorate_class(decorated, self._start))
        if inspect.iscoroutinefunction(decorated):
            return cast("Decorated", _decorate_coroutine(decorated, self._start))
        return cast("Decorated", _decorate_function(decorated, self._start))

    @property
    def _stacks(self) -> list[ExitStack]:
        """The servers of this thread, the latest last."""
        if not hasattr(self._entered, "stacks"):
            self._entered.stacks = []
        stacks: list[ExitStack] = self._entered.stacks
        return stacks

    def _start(self) -> tuple[ExitStack, StagebookServer]:
        """Start a server; return what ends it, too."""
        with ExitStack() as stack:
            started = ServerStart(self._settings)
            stack.callback(started.end)
            url, region = started.wait()
            server = StagebookServer(url=url, region=region, read_log=lambda: started.log)
            return stack.pop_all(), server


Start = Callable[[], tuple[ExitStack, StagebookServer]]


def _decorate_function(function: Callable[..., Any], start: Start) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*arguments: object, **named: object) -> object:
        stack, server = start()
        with stack, server.patched_environment():
            return function(*arguments, **_with_server(function, named, server))

    return _without_server(function, call)


def _decorate_coroutine(function: Callable[..., Awaitable[Any]], start: Start) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*arguments: object, **named: object) -> object:
        stack, server = start()
        with stack, server.patched_environment():
            return await function(*arguments, **_with_server(function, named, server))

    return _without_server(function, call)


def _with_server(function: Callable[..., Any], named: dict[str, Any], server: StagebookServer) -> dict[str, Any]:
    wanted = SERVER_PARAMETER in inspect.signature(function).parameters
    return {SERVER_PARAMETER: server, **named} if wanted else named


def _without_server(function: Callable[..., Any], call: Callable[..., Any]) -> Callable[..., Any]:
    """Hide the parameter `server` from pytest, which would look for a fixture of this name."""
    signature = inspect.signature(function)
    kept = [parameter for name, parameter in signature.parameters.items() if name != SERVER_PARAMETER]
    call.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]  # inspect reads it
    return call


def _decorate_class(decorated: type, start: Start) -> type:
    """Give a class of tests one server, for all of its tests: `server` is an attribute of the class."""
    running: list[ExitStack] = []

    def begin(cls: Any) -> None:  # noqa: ANN401 - a class of tests
        stack, cls.server = start()
        stack.enter_context(cls.server.patched_environment())
        running.append(stack)

    def end(_cls: object = None) -> None:
        running.pop().close()

    if issubclass(decorated, unittest.TestCase):
        inherited: Any = decorated.setUpClass

        def set_up_class(cls: Any) -> None:  # noqa: ANN401 - a class of tests
            begin(cls)
            cls.addClassCleanup(end)
            inherited.__func__(cls)

        decorated.setUpClass = classmethod(set_up_class)  # type: ignore[assignment,method-assign]  # a decorator's work
        return decorated
    return _decorate_pytest_class(decorated, begin, end)


def _decorate_pytest_class(decorated: Any, begin: Callable[[Any], None], end: Callable[[], None]) -> type:  # noqa: ANN401 - a class of tests
    """pytest calls `setup_class` and `teardown_class` of a class that is no TestCase."""
    set_up = getattr(decorated, "setup_class", None)
    tear_down = getattr(decorated, "teardown_class", None)

    def setup_class(cls: Any) -> None:  # noqa: ANN401 - a class of tests
        begin(cls)
        if set_up is not None:
            set_up.__func__(cls)

    def teardown_class(cls: Any) -> None:  # noqa: ANN401 - a class of tests
        try:
            if tear_down is not None:
                tear_down.__func__(cls)
        finally:
            end()

    decorated.setup_class = classmethod(setup_class)
    decorated.teardown_class = classmethod(teardown_class)
    result: type = decorated
    return result
