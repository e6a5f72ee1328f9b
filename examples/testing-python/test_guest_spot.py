"""Tests of the guest spot. Nobody sends media, and no test waits: what takes an hour takes a call of the clock."""

from datetime import timedelta
from typing import Any

import pytest
from guest_spot import Attendance, GuestSpot

from stagebook.testing import CallRefusedError, StagebookServer, serve


@pytest.fixture
def spot(ivs: Any) -> GuestSpot:  # noqa: ANN401 - boto3 makes its clients at run time
    return GuestSpot.open("show", ivs)


def test_an_invited_guest_is_on_stage(spot: GuestSpot, stagebook: StagebookServer) -> None:
    ann = stagebook.participant(token=spot.invite("ann"))
    assert spot.on_stage() == []
    ann.publish()
    assert spot.on_stage() == ["ann"]


def test_a_listener_cannot_speak(spot: GuestSpot, stagebook: StagebookServer) -> None:
    listener = stagebook.participant(token=spot.invite("bob", may_speak=False))
    listener.join()
    with pytest.raises(CallRefusedError, match="INSUFFICIENT_CAPABILITIES"):
        listener.publish()


def test_an_invitation_ends_after_an_hour(spot: GuestSpot, stagebook: StagebookServer) -> None:
    late = stagebook.participant(token=spot.invite("late"))
    stagebook.clock.advance(minutes=61)
    with pytest.raises(CallRefusedError, match="expired"):
        late.join()


def test_a_guest_is_removed(spot: GuestSpot, stagebook: StagebookServer) -> None:
    ann, bob = (stagebook.participant(token=spot.invite(name)) for name in ("ann", "bob"))
    ann.publish()
    bob.publish()
    spot.remove("ann")
    assert spot.on_stage() == ["bob"]
    assert ann.events[-1].name == "LEFT"


def test_the_report_has_the_times_of_each_guest(spot: GuestSpot, stagebook: StagebookServer) -> None:
    stagebook.clock.freeze()
    ann, bob = (stagebook.participant(token=spot.invite(name)) for name in ("ann", "bob"))
    ann.join()
    bob.join()
    stagebook.clock.advance(minutes=1)
    ann.publish()
    bob.subscribe(ann)
    stagebook.clock.advance(minutes=10)
    ann.unpublish()
    ann.leave()
    bob.lose_connection()
    assert spot.attendance() == [
        Attendance(user_id="ann", on_stage=timedelta(minutes=11), on_air=timedelta(minutes=10)),
        Attendance(user_id="bob", on_stage=timedelta(minutes=11)),
    ]


def test_the_report_has_errors(spot: GuestSpot, stagebook: StagebookServer) -> None:
    ann = stagebook.participant(token=spot.invite("ann"))
    ann.fail_publish("BITRATE_EXCEEDED")
    ann.fail_publish("RESOLUTION_EXCEEDED")
    (report,) = spot.attendance()
    assert report.errors == ["BITRATE_EXCEEDED", "RESOLUTION_EXCEEDED"]


def test_the_report_has_events_of_several_pages(spot: GuestSpot, stagebook: StagebookServer) -> None:
    stagebook.clock.freeze()
    ann = stagebook.participant(token=spot.invite("ann"))
    ann.join()
    for _ in range(30):
        ann.publish()
        stagebook.clock.advance(seconds=1)
        ann.unpublish()
    (report,) = spot.attendance()
    assert report.on_air == timedelta(seconds=30)


def test_a_throttled_call_is_tried_again(spot: GuestSpot, stagebook: StagebookServer) -> None:
    stagebook.participant(token=spot.invite("ann")).join()
    stagebook.fault("ListParticipants", "THROTTLING", times=2)
    assert spot.on_stage() == ["ann"]


def test_an_encoder_is_a_guest(spot: GuestSpot, ivs: Any, stagebook: StagebookServer) -> None:  # noqa: ANN401 - as above
    made = ivs.create_ingest_configuration(stageArn=spot.stage_arn, userId="studio", ingestProtocol="RTMPS")
    studio = stagebook.encoder(made["ingestConfiguration"]["streamKey"])
    studio.publish()
    assert spot.on_stage() == ["studio"]
    studio.fail_publish("B_FRAME_PRESENT")
    (report,) = spot.attendance()
    assert report.errors == ["B_FRAME_PRESENT"]


@pytest.mark.usefixtures("stagebook_environment")
def test_the_credentials_of_the_environment_are_used(stagebook: StagebookServer) -> None:
    spot = GuestSpot.open("show")
    stagebook.participant(token=spot.invite("ann")).join()
    assert spot.on_stage() == ["ann"]


@serve(region="eu-west-1")
def test_another_region_takes_another_server(server: StagebookServer) -> None:
    spot = GuestSpot.open("show")
    assert spot.stage_arn.startswith("arn:aws:ivs:eu-west-1:")
    server.participant(token=spot.invite("ann")).join()
    assert spot.on_stage() == ["ann"]
