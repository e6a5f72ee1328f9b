"""The observed `send`, and the header fields of a request by name."""

from stagebook.api.asgi import Message, ObservedSend, read_headers


async def observe(*messages: Message) -> tuple[ObservedSend, list[Message]]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    observed = ObservedSend(send)
    for message in messages:
        await observed(message)
    return observed, sent


async def test_before_a_response_nothing_is_recorded() -> None:
    observed, _ = await observe()
    assert (observed.status, observed.is_accepted) == (0, False)


async def test_the_status_is_recorded_and_every_message_is_sent() -> None:
    start, body = {"type": "http.response.start", "status": 404}, {"type": "http.response.body", "body": b""}
    observed, sent = await observe(start, body)
    assert (observed.status, observed.is_accepted) == (404, False)
    assert sent == [start, body]


async def test_an_accepted_handshake_is_recorded() -> None:
    observed, _ = await observe({"type": "websocket.accept"})
    assert observed.is_accepted


def test_headers_are_read_by_name() -> None:
    assert read_headers([(b"host", b"a"), (b"accept", b"b")]) == {b"host": b"a", b"accept": b"b"}


def test_lines_of_one_name_are_joined() -> None:
    lines = [(b"x-a", b" 1 "), (b"host", b"h"), (b"x-a", b"2")]

    assert read_headers(lines) == {b"x-a": b"1,2", b"host": b"h"}
