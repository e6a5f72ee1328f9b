"""What ListParticipantEvents says about the scene."""

from datetime import datetime

from stagebook.conformance.check import Basis, Cost
from stagebook.conformance.check_group import CheckGroup, api_page, user_guide
from stagebook.conformance.expectations import expect, expect_equal, expect_refused
from stagebook.conformance.media_scene.scene_script import DEFAULT_PAGE, scene_of
from stagebook.conformance.service_under_test import ServiceUnderTest
from stagebook.conformance.wire.wire_answer import Json

checks = CheckGroup(cost=Cost.MEDIA)

EVENTS = "ListParticipantEvents"
EVENT_SOURCE = "service model, Event"
HEALTH = user_guide("stage-health")
CLI_EVENTS = "AWS CLI reference, list-participant-events, example"
PUBLISHER_EVENTS = {
    "JOINED",
    "PUBLISH_STARTED",
    "REPLICATION_STARTED",
    "REPLICATION_STOPPED",
    "PUBLISH_STOPPED",
    "LEFT",
}


def _events(service: ServiceUnderTest, name: str = EVENTS) -> list[Json]:
    events: list[Json] = scene_of(service).document(name)["events"]
    return events


@checks.add(EVENTS, "publisher.names", source=f"{EVENT_SOURCE}, name")
def _names(service: ServiceUnderTest) -> None:
    names = [event["name"] for event in _events(service)]
    expect_equal(sorted(names), sorted(PUBLISHER_EVENTS), "the events of the publisher, each once")


@checks.add(EVENTS, "order.newest-first", source=CLI_EVENTS, basis=Basis.OBSERVED)
def _newest_first(service: ServiceUnderTest) -> None:
    times = [datetime.fromisoformat(event["eventTime"]) for event in _events(service)]
    expect(times == sorted(times, reverse=True), expected="the newest event first", got=[str(time) for time in times])


@checks.add(EVENTS, "participantId", source=f"{EVENT_SOURCE}, participantId: who triggered the event")
def _who(service: ServiceUnderTest) -> None:
    expect_equal(
        {event["participantId"] for event in _events(service)}, {scene_of(service).publisher_id}, "participantId"
    )


@checks.add(EVENTS, "remoteParticipantId", source=f"{EVENT_SOURCE}, remoteParticipantId: the publisher")
def _remote(service: ServiceUnderTest) -> None:
    scene = scene_of(service)
    events = [e for e in _events(service, f"{EVENTS} viewer") if e["name"].startswith("SUBSCRIBE")]
    expect_equal(sorted(event["name"] for event in events), ["SUBSCRIBE_STARTED", "SUBSCRIBE_STOPPED"], "the names")
    expect_equal({event.get("remoteParticipantId") for event in events}, {scene.publisher_id}, "remoteParticipantId")


@checks.add(EVENTS, "viewer.names", source=HEALTH)
def _viewer(service: ServiceUnderTest) -> None:
    names = sorted(event["name"] for event in _events(service, f"{EVENTS} viewer"))
    expect_equal(names, ["JOINED", "LEFT", "SUBSCRIBE_STARTED", "SUBSCRIBE_STOPPED"], "the events of the viewer")


@checks.add(EVENTS, "no-errors", source=f"{EVENT_SOURCE}, errorCode: only of errors")
def _no_error_codes(service: ServiceUnderTest) -> None:
    codes = [event.get("errorCode") for event in _events(service)]
    expect(not any(codes), expected="no errorCode in events that are no errors", got=codes)


@checks.add(EVENTS, "replication.destination", source=f"{EVENT_SOURCE}, destinationStageArn, destinationSessionId")
def _destination(service: ServiceUnderTest) -> None:
    scene = scene_of(service)
    events = [event for event in _events(service) if event["name"].startswith("REPLICATION")]
    found = {(event.get("destinationStageArn"), event.get("destinationSessionId")) for event in events}
    expect_equal(found, {(scene.destination_arn, scene.destination_session_id)}, "the destinations")


@checks.add(EVENTS, "replica", source=f"{EVENT_SOURCE}, replica", basis=Basis.CHOSEN)
def _replica_events(service: ServiceUnderTest) -> None:
    events = _events(service, f"{EVENTS} replica")
    names = {event["name"] for event in events}
    expect(
        names >= {"JOINED", "PUBLISH_STARTED"}, expected="JOINED and PUBLISH_STARTED of the replica", got=sorted(names)
    )
    expect_equal({event.get("replica") for event in events}, {True}, "replica")


@checks.add(EVENTS, "nextToken.pages", source=f"{api_page(EVENTS)}, maxResults and nextToken")
def _pages(service: ServiceUnderTest) -> None:
    first = _events(service, f"{EVENTS} first")
    expect_equal(len(first), 2, "the size of a page with maxResults 2")
    expect_equal(first + _events(service, f"{EVENTS} rest"), _events(service), "both pages")


@checks.add(EVENTS, "maxResults.default", source="service model, ListParticipantEventsRequest: default 50")
def _default_page(service: ServiceUnderTest) -> None:
    first, everything = _events(service, f"{EVENTS} guest"), _events(service, f"{EVENTS} guest all")
    expect(len(everything) > DEFAULT_PAGE, expected="more than 50 events", got=len(everything))
    expect_equal(first, everything[:DEFAULT_PAGE], "the first page, the first 50 events")


@checks.add(EVENTS, "joined-and-left", source=f"{HEALTH}: joining and leaving again", basis=Basis.CHOSEN)
def _in_turn(service: ServiceUnderTest) -> None:
    names = [event["name"] for event in _events(service, f"{EVENTS} guest all")]
    expect_equal(names, ["LEFT", "JOINED"] * (len(names) // 2), "the events of a guest who comes and goes")


@checks.add(EVENTS, "nextToken.of-another-participant", basis=Basis.CHOSEN)
def _token_of_another(service: ServiceUnderTest) -> None:
    expect_refused(scene_of(service).answers[f"{EVENTS} other"], "ValidationException")
