"""The decision about an encoder: made once, by the server or by the timeout."""

import asyncio

import pytest

from stagebook.media.ingest import encoder_admission
from stagebook.media.ingest.encoder_admission import Admission, EncoderAdmission, Refusal
from stagebook.media.ingest.stream_end import StreamEndedError
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import CloseCause, IngestAsked, MediaRefusedError, RefusalReason

TICKET = FeedTicket(path="/feed", token="t")
ASKED = IngestAsked(ask_id="a", stream_key="k", is_secure=False, remote_address="192.0.2.1")


async def test_the_first_answer_is_the_decision() -> None:
    admission = EncoderAdmission()
    asked: list[IngestAsked] = []
    deciding = asyncio.create_task(admission.ask(ASKED, asked.append))
    await asyncio.sleep(0)
    assert asked == [ASKED]
    admission.refuse("no")
    admission.refuse("no again")
    with pytest.raises(MediaRefusedError) as refused:
        admission.admit("c", TICKET)
    assert refused.value.reason is RefusalReason.UNKNOWN_CONNECTION
    assert await deciding == Refusal(detail="no")


async def test_a_decision_may_be_made_while_the_encoder_asks() -> None:
    admission = EncoderAdmission()
    decision = await admission.ask(ASKED, lambda _asked: admission.admit("c", TICKET))
    assert decision == Admission(connection_id="c", ticket=TICKET)


async def test_there_is_no_decision_before_the_encoder_asks() -> None:
    admission = EncoderAdmission()
    admission.refuse("no")
    with pytest.raises(MediaRefusedError):
        admission.admit("c", TICKET)


async def test_a_decision_that_does_not_come_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_admission, "DECISION_TIMEOUT_SECONDS", 0)
    with pytest.raises(StreamEndedError) as ended:
        await EncoderAdmission().ask(ASKED, lambda _asked: None)
    assert ended.value.stream_end.cause is CloseCause.ENGINE_LOST
