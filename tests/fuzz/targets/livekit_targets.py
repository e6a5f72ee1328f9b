"""Fuzz targets of LiveKit: what strangers post as its webhooks, and what a broken LiveKit sends by signalling."""

import base64
import hashlib

import jwt
from google.protobuf.message import DecodeError
from livekit.protocol import rtc

from stagebook.livekit_history.livekit_messages import MAX_ATTRIBUTES_SIZE_BYTES, webhook_fact
from stagebook.livekit_history.room_facts import ParticipantJoined, ParticipantLeft, TrackPublished, TrackUnpublished
from stagebook.livekit_history.room_ids import participant_id_of, session_id_of_room
from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.livekit.facts.webhook_notes import note_event
from stagebook.media.livekit.livekit_access import LiveKitKey
from stagebook.media.livekit.livekit_sdp import MAX_ANSWER_CHARACTERS, ice_session, require_answer, with_candidates
from stagebook.media.livekit.signalling.signalling_exchange import (
    MAX_CANDIDATE_CHARACTERS,
    MAX_CANDIDATES,
    MAX_PING_SECONDS,
)
from stagebook.media.livekit.signalling.viewer_exchange import ViewerExchange
from stagebook.media.livekit.webhook_event import WebhookRefusedError, read_webhook
from stagebook.media.port import MediaRefusedError
from stagebook.stage.ids import SESSION_ID_LENGTH
from tests.fuzz.fuzz_target import FuzzTarget, join_sized, split_sized
from tests.media.livekit.livekit_book import SOURCE, RecordedRooms
from tests.media.livekit.recorded_messages import PUBLISHER_ID, recorded

KEY = LiveKitKey(key="test", secret="the secret of the key of these tests")
_EXPIRES = 4_000_000_000
_NOW_MS = 1_700_000_100_000
_CODECS = {MediaKind.AUDIO: frozenset({"OPUS"}), MediaKind.VIDEO: frozenset({"H264"})}
_WEBHOOK = (
    b'{"event":"participant_left","id":"EV_1","createdAt":"1700000000","room":{"sid":"RM_aaaaaaaaaaaa","name":"r",'
    b'"metadata":"m"},"participant":{"sid":"PA_bbbbbbbbbbbb","identity":"publisher","state":"ACTIVE","attributes":'
    b'{"a":"b"},"tracks":[{"sid":"TR_1","type":"VIDEO","mimeType":"video/H264","width":640}],"kind":"SIP",'
    b'"disconnectReason":"CLIENT_INITIATED"},"track":{"sid":"TR_1"}}'
)
_NUL = _WEBHOOK.replace(b"participant_left", b"track_published").replace(b'"publisher"', b'"a\\u0000b"')


def check_webhook(data: bytes) -> None:
    """A signed body is an event or refused. What it says fits into the book: text without NUL that UTF-8 can write."""
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    token = jwt.encode({"iss": KEY.key, "sha256": digest, "exp": _EXPIRES}, KEY.secret, algorithm="HS256")
    try:
        event = read_webhook(data, token, key=KEY)
    except WebhookRefusedError:
        return
    book = RecordedRooms()
    book.publisher()
    event.room.name = event.room.name or book.rooms.rooms()[SOURCE]
    note_event(event, book.rooms)
    assert len(book.facts) <= 2
    fact = webhook_fact(event, now_ms=_NOW_MS)
    if not isinstance(fact, ParticipantJoined | ParticipantLeft | TrackPublished | TrackUnpublished):
        return
    assert fact.at_ms is not None
    assert 0 < fact.at_ms <= _NOW_MS
    participant = fact.participant
    attributes = participant.attributes or {}
    texts = [participant.identity, participant_id_of(participant.sid), *attributes, *attributes.values()]
    assert "\0" not in "".join(texts)
    assert sum(len(each.encode()) for each in (*attributes, *attributes.values())) <= MAX_ATTRIBUTES_SIZE_BYTES
    assert len(session_id_of_room(fact.room.sid)) == SESSION_ID_LENGTH


def check_webhook_token(data: bytes) -> None:
    """Whatever a stranger has in the header Authorization is refused, and nothing else is raised."""
    try:
        read_webhook(_WEBHOOK, data.decode("latin-1"), key=KEY)
    except WebhookRefusedError:
        return
    raise AssertionError("a token without the secret was accepted")


def check_signalling(data: bytes) -> None:
    """A viewer's exchange takes any messages in any order. Its answer is refused or bounded."""
    exchange = ViewerExchange(offer="v=0\r\n", publisher_id=PUBLISHER_ID, codecs=_CODECS)
    for part in split_sized(data):
        message = rtc.SignalResponse()
        try:
            message.ParseFromString(part)
        except DecodeError:
            continue
        for answer in exchange.receive(message):
            answer.SerializeToString()
    assert 0 < exchange.ping_interval_seconds <= MAX_PING_SECONDS
    assert len(exchange.candidates) <= MAX_CANDIDATES
    assert all(each.isprintable() and len(each) <= MAX_CANDIDATE_CHARACTERS for each in exchange.candidates)
    exchange.time_out()
    try:
        answer_sdp = require_answer(exchange.answer)
        ice_session(answer_sdp)
    except MediaRefusedError:
        return
    assert len(answer_sdp) <= MAX_ANSWER_CHARACTERS
    with_candidates(answer_sdp, exchange.candidates)


TARGETS = (
    FuzzTarget(
        name="livekit-webhook",
        check=check_webhook,
        max_size_bytes=4_096,
        seeds=(
            _WEBHOOK,
            _WEBHOOK.replace(b"participant_left", b"track_published"),
            _NUL,
            b"[" * 2_000,
            b'{"event":"\\ud800"}',
        ),
    ),
    FuzzTarget(
        name="livekit-webhook-token",
        check=check_webhook_token,
        max_size_bytes=4_096,
        seeds=(
            b"Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJ0ZXN0IiwiZXhwIjo0MDAwMDAwMDAwfQ.",
            b"Bearer eyJhbGciOltdfQ.e30.AAAA",
            b"Bearer " + base64.urlsafe_b64encode(b"[" * 2_400) + b".e30.AAAA",
        ),
    ),
    FuzzTarget(
        name="livekit-signalling",
        check=check_signalling,
        max_size_bytes=16_384,
        seeds=(
            join_sized([each.SerializeToString() for each in recorded("viewer")]),
            join_sized([b"\x42\x02\x10\x63"]),
        ),
    ),
)
