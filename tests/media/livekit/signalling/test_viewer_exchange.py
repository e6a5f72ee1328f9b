"""The exchange of a viewer, with messages of a real server."""

from collections.abc import Iterable

import pytest
from livekit.protocol import models, rtc

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.livekit.signalling.signalling_exchange import ExchangeState
from stagebook.media.livekit.signalling.viewer_exchange import ViewerExchange, track_codec
from stagebook.media.port import CloseCause, RefusalReason
from tests.media.livekit.recorded_messages import PUBLISHER_ID, kinds, recorded, until

BOTH = {MediaKind.AUDIO: frozenset({"OPUS"}), MediaKind.VIDEO: frozenset({"H264", "VP8"})}


def viewer(codecs: dict[MediaKind, frozenset[str]] = BOTH) -> ViewerExchange:
    return ViewerExchange(offer="the offer", publisher_id=PUBLISHER_ID, codecs=codecs)


def play(exchange: ViewerExchange, messages: Iterable[rtc.SignalResponse]) -> list[rtc.SignalRequest]:
    return [sent for message in messages for sent in exchange.receive(message)]


def test_it_subscribes_and_then_offers() -> None:
    exchange, messages = viewer(), recorded("viewer")
    assert kinds(exchange.receive(messages[0])) == ["subscription"]
    assert exchange.state is ExchangeState.SECTIONS
    sent = play(exchange, messages[1:4])
    assert (kinds(sent), exchange.state) == (["offer"], ExchangeState.OFFERED)
    assert (sent[0].offer.sdp, sent[0].offer.type) == ("the offer", "offer")


def test_the_answer_is_complete_with_its_last_candidate() -> None:
    exchange, messages = viewer(), recorded("viewer")
    play(exchange, messages[:5])
    assert (exchange.state, exchange.is_complete) == (ExchangeState.ANSWERED, False)
    play(exchange, messages[5:7])
    assert exchange.is_complete
    assert exchange.answer.startswith("v=0")
    assert [candidate.split()[2] for candidate in exchange.candidates] == ["udp", "tcp"]
    assert (exchange.server_version, exchange.ping_interval_seconds) == ("1.13.5", 5)
    assert exchange.participant_sid.startswith("PA_")


def test_it_waits_for_the_tracks_of_the_publisher() -> None:
    exchange, messages = viewer(), recorded("early_viewer")
    assert play(exchange, until(messages, "update")) == []
    assert exchange.state is ExchangeState.TRACKS
    sent = play(exchange, messages[1:])
    assert kinds(sent) == ["subscription", "offer"]
    assert len(sent[0].subscription.track_sids) == 2


def test_one_kind_is_enough_for_a_viewer_of_one_kind() -> None:
    exchange = viewer({MediaKind.AUDIO: frozenset({"OPUS"})})
    (subscription,) = exchange.receive(recorded("viewer")[0])
    assert list(subscription.subscription.track_sids) == [exchange.tracks[MediaKind.AUDIO].sid]
    required = rtc.MediaSectionsRequirement(num_audios=1)
    assert kinds(exchange.receive(rtc.SignalResponse(media_sections_requirement=required))) == ["offer"]


def test_a_viewer_of_nothing_that_is_sent_offers_at_once() -> None:
    assert kinds(viewer({}).receive(recorded("viewer")[0])) == ["offer"]


def test_sections_of_each_kind_are_needed() -> None:
    exchange = viewer()
    exchange.receive(recorded("viewer")[0])
    audio = rtc.SignalResponse(media_sections_requirement=rtc.MediaSectionsRequirement(num_audios=2))
    video = rtc.SignalResponse(media_sections_requirement=rtc.MediaSectionsRequirement(num_videos=1))
    assert exchange.receive(audio) == []
    assert kinds(exchange.receive(video)) == ["offer"]


def test_a_codec_that_is_not_offered_is_refused_before_anything_is_asked() -> None:
    exchange = viewer({**BOTH, MediaKind.VIDEO: frozenset({"AV1"})})
    assert exchange.receive(recorded("viewer")[0]) == []
    assert exchange.state is ExchangeState.FAILED
    assert exchange.failure is not None
    assert exchange.failure.reason is RefusalReason.VIDEO_CODEC


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (models.SubscriptionError.SE_CODEC_UNSUPPORTED, RefusalReason.VIDEO_CODEC),
        (models.SubscriptionError.SE_TRACK_NOTFOUND, RefusalReason.UNKNOWN_SOURCE),
    ],
)
def test_a_subscription_that_fails_is_a_refusal(error: models.SubscriptionError, reason: RefusalReason) -> None:
    exchange = viewer()
    exchange.receive(recorded("viewer")[0])
    failed = rtc.SubscriptionResponse(track_sid=exchange.tracks[MediaKind.VIDEO].sid, err=error)
    exchange.receive(rtc.SignalResponse(subscription_response=failed))
    assert exchange.failure is not None
    assert exchange.failure.reason is reason


def test_a_publisher_that_leaves_is_an_unknown_source() -> None:
    exchange = viewer()
    play(exchange, until(recorded("early_viewer"), "update"))
    gone = models.ParticipantInfo(identity=PUBLISHER_ID, state=models.ParticipantInfo.State.DISCONNECTED)
    exchange.receive(rtc.SignalResponse(update=rtc.ParticipantUpdate(participants=[gone])))
    assert exchange.failure is not None
    assert exchange.failure.reason is RefusalReason.UNKNOWN_SOURCE


def test_another_participant_is_no_publisher() -> None:
    exchange = ViewerExchange(offer="", publisher_id="somebody else", codecs=BOTH)
    assert exchange.receive(recorded("viewer")[0]) == []
    assert exchange.state is ExchangeState.TRACKS


@pytest.mark.parametrize("received", [0, 1, 3, 4])
def test_a_time_out_before_the_answer_is_a_refusal(received: int) -> None:
    exchange = viewer()
    play(exchange, recorded("viewer")[:received])
    exchange.time_out()
    assert exchange.failure is not None
    assert exchange.failure.reason is RefusalReason.BUSY
    assert play(exchange, recorded("viewer")) == [], "a failed exchange does nothing more"


def test_a_time_out_after_the_answer_completes_it() -> None:
    exchange = viewer()
    play(exchange, recorded("viewer")[:5])
    exchange.time_out()
    assert (exchange.is_complete, exchange.failure) == (True, None)


def test_the_loss_of_the_websocket_ends_an_exchange_that_has_no_answer_only() -> None:
    early, answered = viewer(), viewer()
    play(early, recorded("viewer")[:3])
    early.lose_socket()
    assert early.failure is not None
    assert early.failure.reason is RefusalReason.ENGINE_LOST
    play(answered, recorded("viewer")[:5])
    answered.lose_socket()
    assert answered.failure is None


def test_a_restart_gets_a_new_answer_and_new_candidates() -> None:
    exchange, messages = viewer(), recorded("viewer")
    play(exchange, messages[:7])
    former = (exchange.answer, exchange.candidates)
    (offer,) = exchange.restart("the offer with other credentials")
    assert (offer.offer.id, offer.offer.sdp) == (2, "the offer with other credentials")
    play(exchange, messages[7:10])
    assert exchange.is_complete
    assert exchange.answer != former[0]
    assert len(exchange.candidates) == len(former[1])


def test_a_restart_that_fails_leaves_the_former_answer() -> None:
    exchange = viewer()
    play(exchange, recorded("viewer")[:7])
    former = exchange.answer
    exchange.restart("another offer")
    exchange.time_out()
    assert exchange.failure is not None
    assert (exchange.state, exchange.answer) == (ExchangeState.ANSWERED, former)


def test_an_answer_to_an_earlier_offer_is_ignored() -> None:
    exchange, messages = viewer(), recorded("viewer")
    play(exchange, messages[:7])
    exchange.restart("another offer")
    exchange.receive(messages[4])
    assert exchange.state is ExchangeState.OFFERED


def test_a_leave_after_the_answer_is_the_end_of_the_connection() -> None:
    exchange = viewer()
    play(exchange, recorded("viewer"))
    assert exchange.end_cause is CloseCause.ENGINE_LOST


def test_a_leave_that_asks_to_come_back_is_no_end() -> None:
    exchange = viewer()
    play(exchange, recorded("viewer")[:7])
    resume = rtc.LeaveRequest(action=rtc.LeaveRequest.Action.RESUME)
    exchange.receive(rtc.SignalResponse(leave=resume))
    assert exchange.end_cause is None


def test_messages_that_are_not_known_are_ignored() -> None:
    exchange = viewer()
    assert exchange.receive(rtc.SignalResponse()) == []
    assert exchange.receive(rtc.SignalResponse(refresh_token="x")) == []
    assert exchange.receive(rtc.SignalResponse(trickle=rtc.TrickleRequest(candidateInit="no JSON"))) == []
    assert exchange.state is ExchangeState.JOINING


def test_candidates_are_bounded() -> None:
    exchange = viewer()
    for number in range(1_000):
        trickle = rtc.TrickleRequest(candidateInit=f'{{"candidate": "candidate:{number}"}}')
        exchange.receive(rtc.SignalResponse(trickle=trickle))
    assert len(exchange.candidates) == 64


@pytest.mark.parametrize(
    ("mime_type", "codec"), [("video/H264", "H264"), ("audio/opus", "OPUS"), ("audio/red", "OPUS"), ("", None)]
)
def test_the_codec_of_a_track(mime_type: str, codec: str | None) -> None:
    assert track_codec(models.TrackInfo(mime_type=mime_type)) == codec


def test_a_reason_of_a_later_version_is_shown_as_a_number() -> None:
    exchange = viewer()
    leave = rtc.LeaveRequest()
    leave.ParseFromString(b"\x10\x63")
    assert exchange.receive(rtc.SignalResponse(leave=leave)) == []
    assert exchange.failure is not None
    assert exchange.failure.detail == "LiveKit ended the connection: 99"


@pytest.mark.parametrize(("told_seconds", "seconds"), [(-5, 5), (0, 5), (7, 7), (2**31 - 1, 60)])
def test_the_interval_of_pings_is_bounded(told_seconds: int, seconds: float) -> None:
    exchange = viewer()
    exchange.receive(rtc.SignalResponse(join=rtc.JoinResponse(ping_interval=told_seconds)))
    assert exchange.ping_interval_seconds == seconds


@pytest.mark.parametrize("candidate", ["z" * 513, "candidate:1\\r\\na=setup:active", "candidate:\\u0000"])
def test_a_candidate_is_one_line_of_an_answer(candidate: str) -> None:
    exchange = viewer()
    play(exchange, recorded("viewer")[:5])
    before = exchange.candidates
    init = f'{{"candidate":"{candidate}"}}'
    play(exchange, [rtc.SignalResponse(trickle=rtc.TrickleRequest(candidateInit=each)) for each in (init, "[" * 5_000)])
    assert exchange.candidates == before
