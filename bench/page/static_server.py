"""The static server, a separate process: the HTTP server of the product with an application that sends fixed bytes.

    python -m bench.page.static_server < response

It prints its port when it is ready, and serves until it is terminated.
"""

import sys

import msgspec
import uvloop

from stagebook.api.asgi import Application, Receive, Scope, Send
from stagebook.config.rules import Address
from stagebook.config.settings import Settings
from stagebook.server.http.http_server import HttpServer
from stagebook.server.listen_sockets import bind_listen_socket
from stagebook.server.wiring import http_limits


class StaticResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The response to every request: status 200 with these header fields and this body."""

    headers: list[tuple[bytes, bytes]]
    body: bytes


def static_application(response: StaticResponse) -> Application:
    """Return an ASGI application that sends this response to every request."""
    start = {"type": "http.response.start", "status": 200, "headers": response.headers}
    body = {"type": "http.response.body", "body": response.body}

    async def serve(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start)
        await send(body)

    return serve


async def _do_nothing() -> None:
    return


def main() -> None:
    """Serve until the process is terminated, with the default limits of the real server."""
    response = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=StaticResponse)
    with bind_listen_socket(Address(host="127.0.0.1", port=0)) as listen_socket:
        server = HttpServer(
            static_application(response),
            limits=http_limits(Settings()),
            trusted_proxies=(),
            on_started=lambda: print(listen_socket.getsockname()[1], flush=True),
            before_close=_do_nothing,
        )
        uvloop.run(server.serve(sockets=[listen_socket]))


if __name__ == "__main__":
    main()
