"""The yardstick: the product's own HTTP server with an application that sends finished bytes and does nothing else.

    python -m bench.page.static < answer

Prints its port once it serves, and serves until its standard input ends or it is terminated.
"""

import sys

import msgspec
import uvloop

from stagebook.api.asgi import Application, Receive, Scope, Send
from stagebook.config.rules import Address
from stagebook.config.settings import Settings
from stagebook.server.http_server import HttpServer
from stagebook.server.listen_sockets import bind_listen_socket
from stagebook.server.wiring import http_limits


class StaticAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What to answer to everything: a 200 with these headers and this body."""

    headers: list[tuple[bytes, bytes]]
    body: bytes


def static_application(answer: StaticAnswer) -> Application:
    """Return the ASGI application."""
    start = {"type": "http.response.start", "status": 200, "headers": answer.headers}
    body = {"type": "http.response.body", "body": answer.body}

    async def serve(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start)
        await send(body)

    return serve


async def _nothing() -> None:
    return


def main() -> None:
    """Serve until the process is terminated, by the same settings as the real server."""
    answer = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=StaticAnswer)
    with bind_listen_socket(Address(host="127.0.0.1", port=0)) as listening:
        server = HttpServer(
            static_application(answer),
            limits=http_limits(Settings()),
            trusted_proxies=(),
            on_started=lambda: print(listening.getsockname()[1], flush=True),
            before_close=_nothing,
        )
        uvloop.run(server.serve(sockets=[listening]))


if __name__ == "__main__":
    main()
