"""Participants and encoders without media cause every event and every error code, as boto3 lists them."""

import boto3
import pytest

from tests.e2e.server import Client
from tests.e2e.testing.controlled_server import ControlledServer
from tests.e2e.testing.simulated_peers import Peer, named, participant


def listed(ivs: Client, peer: Peer) -> list[str]:
    """Return the events of a peer, oldest first, as ListParticipantEvents has them."""
    page = ivs.list_participant_events(
        stageArn=peer.stage_arn, sessionId=peer.document["sessionId"], participantId=peer.participant_id
    )
    return named(page["events"][::-1])


def events_of(service_model_enum: str) -> set[str]:
    model = boto3.client("ivs-realtime", region_name="us-west-2").meta.service_model
    return set(model.shape_for(service_model_enum).enum)


def cause_everything(peer_server: ControlledServer, ivs: Client, stage_arn: str) -> list[tuple[Peer, list[str]]]:
    """Cause each event and error code; return the peers with the events that their actions have answered."""
    other_arn = ivs.create_stage()["stage"]["arn"]
    ann, bob, carl = (participant(peer_server, stage_arn, userId=name) for name in ("ann", "bob", "carl"))
    rtmp, eve = (Peer(peer_server, "encoders", stageArn=stage_arn) for _ in range(2))
    made: dict[Peer, list[str]] = {peer: [] for peer in (ann, bob, carl, rtmp, eve)}

    def do(peer: Peer, action: str, **body: object) -> None:
        made[peer] += peer.do(action, **body)

    do(ann, "fail-join", errorCode="QUOTA_EXCEEDED")
    do(ann, "join")
    do(ann, "publish")
    replication = {"sourceStageArn": stage_arn, "destinationStageArn": other_arn, "participantId": ann.participant_id}
    ivs.start_participant_replication(**replication)
    ivs.stop_participant_replication(**replication)
    made[ann] += ["REPLICATION_STARTED", "REPLICATION_STOPPED"]
    do(bob, "join")
    do(bob, "subscribe", to=ann.participant_id)
    do(bob, "unsubscribe", to=ann.participant_id)
    do(bob, "fail-subscribe", errorCode="PUBLISHER_NOT_FOUND")
    do(bob, "fail-subscribe", errorCode="QUOTA_EXCEEDED", to=ann.participant_id)
    do(bob, "fail-subscribe", errorCode="STREAM_DURATION_EXCEEDED", to=ann.participant_id)
    do(bob, "exchange-token", capabilities=["PUBLISH"], userId="robert")
    do(bob, "fail-subscribe", errorCode="INSUFFICIENT_CAPABILITIES", to=ann.participant_id)
    do(bob, "lose-connection")
    for code in (
        "INSUFFICIENT_CAPABILITIES", "QUOTA_EXCEEDED", "INVALID_AUDIO_CODEC", "INVALID_VIDEO_CODEC",
        "INTERNAL_SERVER_EXCEPTION", "BITRATE_EXCEEDED", "RESOLUTION_EXCEEDED", "B_FRAME_PRESENT",
        "STREAM_DURATION_EXCEEDED",
    ):  # fmt: skip
        do(carl, "fail-publish", errorCode=code)
    for code in (
        "QUOTA_EXCEEDED", "INVALID_STREAM_KEY", "INVALID_PROTOCOL", "INVALID_AUDIO_CODEC", "INVALID_VIDEO_CODEC",
        "INVALID_INPUT",
    ):  # fmt: skip
        do(rtmp, "fail-publish", errorCode=code)
    do(rtmp, "publish")
    for code in (
        "REUSE_OF_STREAM_KEY", "INVALID_INPUT", "BITRATE_EXCEEDED", "RESOLUTION_EXCEEDED", "B_FRAME_PRESENT",
        "STREAM_DURATION_EXCEEDED", "INTERNAL_SERVER_EXCEPTION",
    ):  # fmt: skip
        do(eve, "fail-publish", errorCode=code)
    do(rtmp, "stop")
    do(ann, "leave")
    return list(made.items())


def test_every_event_and_error_code_has_a_call(peer_server: ControlledServer, ivs: Client, stage_arn: str) -> None:
    made = cause_everything(peer_server, ivs, stage_arn)

    names = [name for _, events in made for name in events]
    assert {name.partition(" ")[0] for name in names} == events_of("EventName")
    assert {name.partition(" ")[2] for name in names} - {""} == events_of("EventErrorCode")
    for peer, events in made:
        assert listed(ivs, peer) == events


def test_the_clock_ends_what_lasts_too_long(peer_server: ControlledServer, ivs: Client, stage_arn: str) -> None:
    ann, bob = participant(peer_server, stage_arn, durationMinutes=60 * 48), participant(peer_server, stage_arn)
    ann.do("publish")
    bob.do("join")
    peer_server.post("/clock/advance", seconds=24 * 3_600)
    assert listed(ivs, ann)[2:] == ["PUBLISH_ERROR STREAM_DURATION_EXCEEDED", "PUBLISH_STOPPED", "LEFT"]
    assert (ann.state()["leftCause"], bob.state()["state"]) == ("limit", "CONNECTED")
    assert ann.do("publish") == ["JOINED", "PUBLISH_STARTED"]
    assert bob.refused("publish") == (409, "EXPIRED: the token has expired")


@pytest.mark.parametrize(
    ("action", "body", "reason"),
    [
        ("fail-publish", {"errorCode": "REUSE_OF_STREAM_KEY"}, "only encoders cause it"),
        ("fail-publish", {"errorCode": "PUBLISHER_NOT_FOUND"}, "use fail-subscribe"),
        ("fail-subscribe", {"errorCode": "BITRATE_EXCEEDED"}, "AWS documents it for publications: use fail-publish"),
        ("fail-subscribe", {"errorCode": "STREAM_DURATION_EXCEEDED"}, "needs `to`"),
        ("fail-join", {"errorCode": "BITRATE_EXCEEDED"}, "QUOTA_EXCEEDED only"),
        ("unpublish", {}, "does not publish"),
        ("mute", {"audioMuted": True}, "not on the stage"),
    ],
)
def test_what_cannot_happen_is_refused_with_its_reason(
    peer_server: ControlledServer, stage_arn: str, action: str, body: dict[str, object], reason: str
) -> None:
    status, detail = participant(peer_server, stage_arn).refused(action, **body)
    assert status == 409
    assert reason in detail
