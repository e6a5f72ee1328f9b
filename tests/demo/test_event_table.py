"""The table of events of the demo."""

from datetime import UTC, datetime

from stagebook.demo.event_table import event_table

TIME = datetime(2023, 4, 26, 20, 36, 28, 250_000, tzinfo=UTC)


def test_events_keep_their_order() -> None:
    events = {
        "viewer": [
            {
                "name": "SUBSCRIBE_STARTED",
                "participantId": "v1",
                "eventTime": TIME,
                "remoteParticipantId": "p1",
            },
            {"name": "JOINED", "participantId": "v1", "eventTime": TIME},
        ]
    }
    assert event_table(events).splitlines() == [
        "eventTime                participant  name               remoteParticipantId",
        "-----------------------  -----------  -----------------  -------------------",
        "2023-04-26 20:36:28.250  v1 (viewer)  SUBSCRIBE_STARTED  p1",
        "2023-04-26 20:36:28.250  v1 (viewer)  JOINED",
    ]


def test_the_column_of_error_codes_is_shown_if_there_is_one() -> None:
    event = {"name": "PUBLISH_ERROR", "participantId": "p", "eventTime": TIME, "errorCode": "QUOTA_EXCEEDED"}
    assert event_table({"x": [event]}).splitlines()[0].split() == ["eventTime", "participant", "name", "errorCode"]


def test_without_events_no_column_is_shown() -> None:
    assert "participant" not in event_table({"x": []})
