"""The exchange of a publisher with simulcast, with messages of a real server."""

import pytest
from livekit.protocol import models

from stagebook.media.livekit.signalling.publisher_exchange import PublisherExchange, ordered_rids
from stagebook.media.livekit.signalling.signalling_exchange import ExchangeState
from tests.media.livekit.recorded_messages import recorded


def publisher(*, audio_track: str | None = "a") -> PublisherExchange:
    return PublisherExchange(offer="the offer", audio_track=audio_track, video_track="v", rids=("q", "h", "f"))


def test_the_join_has_the_offer_and_the_layers_by_rid() -> None:
    request = publisher().join_request()
    assert (request.publisher_offer.sdp, request.publisher_offer.type) == ("the offer", "offer")
    audio, video = request.add_track_requests
    assert (audio.cid, audio.type) == ("a", models.TrackType.AUDIO)
    assert (video.cid, video.type) == ("v", models.TrackType.VIDEO)
    assert [(layer.rid, layer.quality, layer.spatial_layer) for layer in video.layers] == [
        ("q", models.VideoQuality.LOW, 0),
        ("h", models.VideoQuality.MEDIUM, 1),
        ("f", models.VideoQuality.HIGH, 2),
    ]


def test_a_publisher_without_audio_adds_one_track() -> None:
    assert [track.cid for track in publisher(audio_track=None).join_request().add_track_requests] == ["v"]


def test_the_answer_follows_the_join() -> None:
    exchange = publisher()
    sent = [each for message in recorded("simulcast_publisher") for each in exchange.receive(message)]
    assert sent == []
    assert (exchange.state, exchange.is_complete) == (ExchangeState.ANSWERED, True)
    assert "a=simulcast:recv q;h;f" in exchange.answer


def test_a_websocket_that_is_opened_again_does_not_publish_again() -> None:
    exchange = publisher()
    exchange.receive(recorded("simulcast_publisher")[0])
    request = exchange.rejoin_request()
    assert (request.reconnect, request.participant_sid) == (True, exchange.participant_sid)
    assert not request.add_track_requests
    assert not request.HasField("publisher_offer")


@pytest.mark.parametrize(
    ("offered", "ordered"),
    [
        ("q h f", "q h f"),
        ("f h q", "q h f"),
        ("h l", "l h"),
        ("0 1 2", "2 1 0"),
        ("hi mid low", "low mid hi"),
        ("b a", "b a"),
    ],
)
def test_rids_are_ordered_by_their_names_if_these_tell(offered: str, ordered: str) -> None:
    assert ordered_rids(offered.split()) == tuple(ordered.split())
