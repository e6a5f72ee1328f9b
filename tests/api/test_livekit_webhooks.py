"""The receiver of LiveKit's webhooks: who is believed, what counts once, and what strangers can cause."""

import asyncio
import base64
import hashlib
import time

import jwt
import pytest
from livekit.protocol.webhook import WebhookEvent
from structlog.testing import capture_logs

from stagebook.api.access.failed_attempts import FAILURES_BURST
from stagebook.api.asgi import Message
from stagebook.api.livekit_webhooks import DurableWebhooks, LiveKitWebhooks
from stagebook.media.livekit.livekit_access import LiveKitAccess, LiveKitKey
from stagebook.media.livekit.webhook_event import MAX_WEBHOOK_SIZE_BYTES
from stagebook.stage.errors import ServerBusyError
from tests.api.body_client import BodyClient, body_part

KEY = LiveKitKey(key="test", secret="the secret of the key of these tests")


def signed(body: bytes) -> bytes:
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    claims = {"iss": KEY.key, "sha256": digest, "exp": int(time.time()) + 60}
    return jwt.encode(claims, KEY.secret, algorithm="HS256").encode()


def joined(event_id: str) -> bytes:
    return b'{"event":"participant_joined","id":"%s","participant":{"identity":"one"}}' % event_id.encode()


class Receiver:
    """An endpoint, and the events that it has handed on."""

    def __init__(self, *, remembered_events: int = 100) -> None:
        self.events: list[WebhookEvent] = []
        self.application: LiveKitWebhooks = LiveKitWebhooks(
            KEY, on_event=self.events.append, monotonic=lambda: 0.0, remembered_events=remembered_events
        )

    async def post(self, body: bytes, *, token: bytes | None = None, method: str = "POST") -> int:
        """Send a request and return the status."""
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        authorization = signed(body) if token is None else token
        scope = {
            "type": "http",
            "method": method,
            "headers": [(b"authorization", authorization)],
            "client": ("192.0.2.1", 1),
        }
        await self.application(scope, BodyClient(body_part(body, more=False)).receive, send)
        await asyncio.sleep(0)
        return int(sent[0]["status"])

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.events]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


async def test_an_event_of_livekit_is_handed_on_once(receiver: Receiver) -> None:
    statuses = [await receiver.post(joined(each)) for each in ("EV_1", "EV_2", "EV_1")]
    assert (statuses, receiver.ids) == ([200, 200, 200], ["EV_1", "EV_2"])
    assert (receiver.application.accepted, receiver.application.repeated) == (2, 1)


async def test_the_answer_comes_before_the_event_is_worked_on(receiver: Receiver) -> None:
    def fail(_event: WebhookEvent) -> None:
        raise AssertionError("worked on before the answer")

    receiver.application._on_event = fail
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    assert await receiver.post(joined("EV_1")) == 200


async def test_the_memory_of_events_is_bounded() -> None:
    receiver = Receiver(remembered_events=2)
    for each in ("EV_1", "EV_2", "EV_3", "EV_3", "EV_1"):
        await receiver.post(joined(each))
    assert receiver.ids == ["EV_1", "EV_2", "EV_3", "EV_1"]


async def test_a_stranger_is_refused_and_then_limited(receiver: Receiver) -> None:
    statuses = [await receiver.post(joined("EV_1"), token=b"no") for _ in range(FAILURES_BURST + 2)]
    assert statuses == [401] * FAILURES_BURST + [429] * 2
    assert await receiver.post(joined("EV_1")) == 200, "LiveKit behind the same address is heard"
    assert receiver.ids == ["EV_1"]


@pytest.mark.parametrize(
    ("body", "method", "status"), [(b"", "GET", 405), (b"x" * (MAX_WEBHOOK_SIZE_BYTES + 1), "POST", 413)]
)
async def test_other_requests_are_refused(receiver: Receiver, body: bytes, method: str, status: int) -> None:
    assert await receiver.post(body, method=method) == status
    assert receiver.events == []


async def test_a_history_answers_when_the_event_is_durable(receiver: Receiver) -> None:
    durable = asyncio.Event()

    async def record(event: WebhookEvent) -> None:
        receiver.events.append(event)
        await durable.wait()

    receiver.application = DurableWebhooks(KEY, record=record, monotonic=lambda: 0.0)
    posted = [asyncio.create_task(receiver.post(joined("EV_1"))) for _ in range(2)]
    await asyncio.sleep(0)
    assert (receiver.ids, any(task.done() for task in posted)) == (["EV_1", "EV_1"], False)
    durable.set()
    assert await asyncio.gather(*posted) == [200, 200]
    assert await receiver.post(joined("EV_1"), token=b"no") == 401


async def test_a_history_can_ask_for_an_event_again(receiver: Receiver) -> None:
    async def record(_event: WebhookEvent) -> None:
        raise ServerBusyError("not yet")

    receiver.application = DurableWebhooks(KEY, record=record, monotonic=lambda: 0.0)
    assert await receiver.post(joined("EV_1")) == 503


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"room":' * 20_000,
        b'{"event":"\\ud800"}',
        b'{"participant":{"identity":"\xed\xa0\x80"}}',
        b'{"createdAt":1e400}',
        b'{"createdAt":' + b"9" * 5_000 + b"}",
        b"null",
    ],
    ids=["deep list", "deep object", "surrogate", "surrogate in UTF-8", "infinity", "large number", "null"],
)
async def test_a_signed_body_that_is_no_event_is_refused(receiver: Receiver, body: bytes) -> None:
    assert await receiver.post(body) == 401
    assert (receiver.events, receiver.application.refused) == ([], 1)


async def test_a_token_without_a_signature_is_refused(receiver: Receiver) -> None:
    claims = jwt.decode(signed(joined("EV_1")), options={"verify_signature": False})
    assert await receiver.post(joined("EV_1"), token=jwt.encode(claims, "", algorithm="none").encode()) == 401


async def test_the_token_of_a_participant_signs_no_webhook(receiver: Receiver) -> None:
    """A LiveKit that serves other applications gives tokens with the same secret to their participants."""
    access = LiveKitAccess(KEY, wall_clock=time.time)
    for token in (access.viewer_token(room="r", identity="i"), access.service_token()):
        assert await receiver.post(joined("EV_1"), token=token.encode()) == 401
    assert await receiver.post(b"", token=access.service_token().encode()) == 401


async def test_a_webhook_cannot_be_replayed_after_its_token_has_expired(receiver: Receiver) -> None:
    """Before that, the event id is known, or the event is about participants whose end is known (`livekit_rooms`)."""
    digest = base64.b64encode(hashlib.sha256(joined("EV_1")).digest()).decode()
    claims = {"iss": KEY.key, "sha256": digest, "exp": int(time.time()) - 61}
    token = jwt.encode(claims, KEY.secret, algorithm="HS256").encode()
    assert await receiver.post(joined("EV_1"), token=token) == 401


async def test_a_flood_of_strangers_is_logged_a_few_times(receiver: Receiver) -> None:
    with capture_logs() as logs:
        for _ in range(200):
            await receiver.post(joined("EV_1"), token=b"no")
    assert len(logs) == FAILURES_BURST
    assert receiver.application.refused == 200
