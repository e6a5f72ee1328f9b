"""The demo's table of events."""

from datetime import UTC, datetime

from stagebook.demo.table import event_table

TIME = datetime(2023, 4, 26, 20, 36, 28, 250_000, tzinfo=UTC)


def test_events_are_shown_in_the_order_they_were_returned() -> None:
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


def test_an_error_code_gets_its_column_when_there_is_one() -> None:
    event = {"name": "PUBLISH_ERROR", "participantId": "p", "eventTime": TIME, "errorCode": "QUOTA_EXCEEDED"}
    assert event_table({"x": [event]}).splitlines()[0].split() == ["eventTime", "participant", "name", "errorCode"]


def test_nothing_is_a_table_of_headings() -> None:
    assert "participant" not in event_table({"x": []})
