"""An application that is made when its first request comes."""

from stagebook.api.asgi import Application, Message, Receive, Scope, Send
from stagebook.api.first_request import OnFirstRequest


async def test_the_application_is_made_once_and_not_before_the_first_request() -> None:
    made: list[str] = []
    served: list[str] = []

    async def application(scope: Scope, _receive: Receive, _send: Send) -> None:
        served.append(scope["path"])

    def make() -> Application:
        made.append("made")
        return application

    async def receive() -> Message:
        return {}

    async def send(_message: Message) -> None:
        return None

    deferred = OnFirstRequest(make)
    assert made == []
    for path in ("/first", "/second"):
        await deferred({"path": path}, receive, send)
    assert (made, served) == (["made"], ["/first", "/second"])
