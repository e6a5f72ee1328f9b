"""An application that is made when its first request comes."""

from collections.abc import Callable

from stagebook.api.asgi import Application, Receive, Scope, Send


class OnFirstRequest:
    """Makes an application for its first request, on the event loop, which waits for it.

    Only for a server for tests: it is ready earlier, and a test that waits once disturbs nobody.
    """

    def __init__(self, make: Callable[[], Application]) -> None:
        self._make = make
        self._made: Application | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if self._made is None:
            self._made = self._make()
        await self._made(scope, receive, send)
