"""An import keeps ids, times and order, is refused whole, can be repeated, and leaves a sound book."""

import asyncio
import gzip
import json
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.audit import book_import
from stagebook.audit.book_rules import RuleBrokenError, Violation
from stagebook.audit.import_sources.aws_events import NamedSession
from stagebook.audit.index_check import check_index
from stagebook.book.book_values import ParticipantFilter, RecordedEvent
from stagebook.book.changes import SEQUENCE_TIME_SHIFT
from stagebook.book.event_log import LoggedEvent
from stagebook.book.scanning.book_scan import BookScan
from stagebook.book.sqlite.bulk import book_insertion
from stagebook.history.export.event_lines import json_lines
from stagebook.history.history_files import SEARCH_INDEX_NAME, HistoryFiles
from stagebook.stage.events import Cause, Event, EventName
from stagebook.stage.resources import ParticipantProtocol, ParticipantRecord, ParticipantState
from tests.audit.importing import NAMED, aws, export, import_files, refusal
from tests.audit.sound_book import require_sound
from tests.book.sample import (
    ACCOUNT,
    ARN,
    NOON_MS,
    OTHER_ARN,
    OTHER_SESSION,
    SESSION,
    append,
    commit,
    end_session,
    open_book,
    open_session,
    put,
    put_stage,
)
from tests.e2e.aws.aws_cli import documented
from tests.manager.simulation.simulate import simulate

EXAMPLE = Path(__file__).parents[2] / "examples" / "documented-events" / "list-participant-events.json"
NOT_IN_EVENTS = (
    *("protocol", "client", "attributes", "redundant_ingest", "ingest_configuration_arn"),
    # A recording of nothing has no event, and the former ones of a participant end after the newest one now and then.
    *("recording_state", "recording_bucket_name", "recording_prefix"),
)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    return tmp_path / "book.sqlite3"


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book that the simulation has made, with all kinds of events."""
    folder = tmp_path_factory.mktemp("simulated")
    simulate(3, folder)
    return folder / "book.sqlite3"


def rows(path: Path) -> dict[tuple[int, int], ParticipantRecord]:
    """Return what the rows of all participants say that events say too."""
    with BookScan(path) as scan:
        found = {}
        for each in scan.participants():
            assert isinstance(each.record, ParticipantRecord)
            known = {name: getattr(each.record, name) for name in each.record.__struct_fields__}
            found[each.session_key, each.number] = ParticipantRecord(
                **{name: value for name, value in known.items() if name not in NOT_IN_EVENTS}
            )
        return found


# The form of the export.


@given(seed=st.integers(0, 1_000_000))
@settings(max_examples=2, deadline=None)
def test_the_history_of_a_simulation_survives_export_and_import(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("seed")
    simulate(seed, folder)
    original, copy = folder / "book.sqlite3", folder / "copy.sqlite3"
    exported = export(original)
    import_files(copy, exported)
    assert export(copy) == exported
    require_sound(copy)
    assert sorted(map(repr, rows(copy).values())) == sorted(map(repr, rows(original).values()))


def test_a_compressed_export_is_read(simulated: Path, book: Path) -> None:
    exported = export(simulated)
    summary = import_files(book, gzip.compress(exported))
    assert summary.events == exported.count(b"\n")
    assert export(book) == exported


def test_a_compressed_export_that_ends_too_early_is_named_with_its_line(simulated: Path, book: Path) -> None:
    first = export(simulated).splitlines(keepends=True)[0]
    assert refusal(book, gzip.compress(first)[:-1]) == "form at file-1:2"


def test_an_export_in_several_files_is_merged(simulated: Path, book: Path) -> None:
    lines = export(simulated).splitlines(keepends=True)
    import_files(book, b"".join(lines[1::2]), b"".join(lines[::2]))
    assert export(book) == b"".join(lines)


def test_a_repeated_import_changes_nothing(simulated: Path, book: Path) -> None:
    exported = export(simulated)
    import_files(book, exported)
    before = rows(book)
    summary = import_files(book, exported)
    assert (summary.events, summary.known_events) == (0, exported.count(b"\n"))
    assert export(book) == exported
    assert rows(book) == before


def test_a_longer_export_continues_the_book(simulated: Path, book: Path) -> None:
    """Cut within sessions: what was open then is continued."""
    lines = export(simulated).splitlines(keepends=True)
    for end in (1, len(lines) // 3, len(lines) // 2, len(lines)):
        import_files(book, b"".join(lines[:end]))
        assert export(book) == b"".join(lines[:end])
        require_sound(book)


def test_the_search_index_follows_an_import(simulated: Path, book: Path) -> None:
    lines = export(simulated).splitlines(keepends=True)
    for end in (len(lines) // 2, len(lines)):
        import_files(book, b"".join(lines[:end]))
        with HistoryFiles(book) as files:
            assert files.index.catch_up(maximum_batches=100).is_complete
        found: list[Violation] = []
        assert check_index(book.with_name(SEARCH_INDEX_NAME), book, found.append) == 0


def test_an_open_session_stays_open(book: Path) -> None:
    import_files(book, aws(("JOINED", "30:34")), session=NAMED)
    require_sound(book)
    with HistoryFiles(book) as files:
        session = files.book.get_session(ARN, SESSION)
        assert session is not None
        assert session.end_ms is None
        assert files.book.list_open_participants(ARN, SESSION, after=None, limit=9).items


def export_line(simulated: Path, **members: Any) -> bytes:  # noqa: ANN401 - JSON
    """Return the first line of an export with other members; None removes one."""
    document = json.loads(export(simulated).splitlines()[0]) | members
    return json.dumps({name: value for name, value in document.items() if value is not None}).encode() + b"\n"


@pytest.mark.parametrize(
    ("members", "rule"),
    [
        ({"id": "0187bf42-ba10-7000-800f-cc43793b4337"}, "event-id"),
        ({"eventTime": "2023-04-26T20:30:34.000Z"}, "event-time"),
        ({"accountId": "1"}, "ids"),
        ({"sessionId": "st-1"}, "ids"),
        ({"participantId": "a b"}, "ids"),
        ({"userId": "u" * 129}, "ids"),
        ({"stageArn": "arn:aws:ivs:us-west-2:123456789012:public-key/abcdABCDefgh"}, "ids"),
        ({"sequence": "-1"}, "form"),
        ({"sequence": "9" * 19}, "form"),
        ({"name": "ARRIVED"}, "form"),
        ({"cause": "whim"}, "form"),
        ({"errorCode": "BAD"}, "form"),
        ({"sessionId": None}, "form"),
        ({"unknown": 1}, "form"),
        ({"errorCode": "INVALID_INPUT"}, "error-code"),
        ({"remoteParticipantId": "bob"}, "remote-participant"),
        ({"destinationStageArn": ARN}, "destination"),
        ({"detail": "x" * 70_000}, "form"),
    ],
)
def test_a_line_that_breaks_a_rule_is_named(simulated: Path, book: Path, members: dict[str, Any], rule: str) -> None:
    assert refusal(book, export_line(simulated, **members)) == f"{rule} at file-1:1"
    assert not book.exists()


@pytest.mark.parametrize("line", [b'{"sequence": "1"', b'{"sequence": ' + b"[" * 1_000, b'{"sequence": "\xff"}'])
def test_a_line_that_is_no_document_is_named(simulated: Path, book: Path, line: bytes) -> None:
    first = export(simulated).splitlines(keepends=True)[0]
    assert refusal(book, line) == "form at file-1:1"
    assert refusal(book, first + line) == "form at file-1:2"
    assert refusal(book, b"\n \r\n" + first + line) == "form at file-1:4"


def test_a_refused_import_leaves_the_book_as_it_was(simulated: Path, book: Path) -> None:
    lines = export(simulated).splitlines(keepends=True)
    import_files(book, b"".join(lines[:100]))
    before = book.read_bytes()
    assert refusal(book, b"".join([*lines, lines[-1]])) == f"sequence at file-1:{len(lines) + 1}"
    assert export(book) == b"".join(lines[:100])
    assert book.read_bytes() == before


def test_lines_that_were_exchanged_or_repeated_are_named(simulated: Path, book: Path) -> None:
    lines = export(simulated).splitlines(keepends=True)
    assert refusal(book, b"".join([lines[0], lines[0]])) == "sequence at file-1:2"
    assert refusal(book, b"".join([lines[0], *lines[2:4], lines[1]])) == "sequence at file-1:4"


def test_an_event_that_the_book_has_otherwise_is_named(simulated: Path, book: Path) -> None:
    lines = export(simulated).splitlines(keepends=True)
    import_files(book, b"".join(lines))
    assert refusal(book, export_line(simulated, detail="another")) == "same-event at file-1:1"


def test_an_older_event_is_refused(book: Path) -> None:
    import_files(book, aws(("JOINED", "30:34")), session=NAMED)
    later = {"stage_arn": OTHER_ARN, "session_id": OTHER_SESSION}
    assert refusal(book, aws(("JOINED", "30:33")), session=NamedSession(**later)) == "newer at file-1:3"
    assert refusal(book, aws(("JOINED", "30:35")), session=NamedSession(**later)) == "imported"


# The output of the AWS CLI.


def test_the_documented_example_keeps_its_order(book: Path) -> None:
    summary = import_files(book, EXAMPLE.read_bytes(), session=NAMED)
    assert (summary.sessions, summary.participants, summary.events) == (1, 1, 4)
    require_sound(book)
    names = [json.loads(line)["name"] for line in export(book).splitlines()]
    assert names == ["PUBLISH_STARTED", "JOINED", "PUBLISH_STOPPED", "LEFT"]
    with HistoryFiles(book) as files:
        (record,) = files.book.list_participants(ARN, SESSION, where=ParticipantFilter(), after=None, limit=9).items
        session = files.book.get_session(ARN, SESSION)
    assert record.published
    assert record.state is ParticipantState.DISCONNECTED
    assert session is not None
    assert session.end_ms is not None
    assert (session.start_ms, session.end_ms - session.start_ms) == (record.first_join_ms, 354_000)


def test_it_survives_export_and_import(book: Path, tmp_path: Path) -> None:
    import_files(book, EXAMPLE.read_bytes(), session=NAMED)
    import_files(tmp_path / "copy", export(book))
    assert export(tmp_path / "copy") == export(book)


def test_a_repeated_import_of_some_files_changes_nothing(book: Path) -> None:
    ann = aws(("LEFT", "36:28"), ("JOINED", "30:34"))
    bob = aws(("LEFT", "36:28"), ("JOINED", "30:34"), participant_id="bob")
    import_files(book, ann, bob, session=NAMED)
    before = export(book)
    for files in ((bob,), (bob, ann), (ann,)):
        assert import_files(book, *files, session=NAMED).events == 0
    assert export(book) == before
    shorter = aws(("JOINED", "30:34"))
    assert refusal(book, aws(("LEFT", "36:29"), ("JOINED", "30:34")), session=NAMED).startswith("whole-session")
    assert import_files(book, shorter, session=NAMED).known_events == 1


@pytest.mark.parametrize(
    ("listed", "stored"),
    [
        ([("LEFT", "31:00"), ("JOINED", "30:00")], ["JOINED", "LEFT"]),
        ([("JOINED", "30:00"), ("LEFT", "31:00")], ["JOINED", "LEFT"]),
        ([("JOINED", "30:00"), ("LEFT", "30:00")], ["LEFT", "JOINED"]),
        ([("JOINED", "30:00"), ("PUBLISH_STARTED", "30:00"), ("PUBLISH_STOPPED", "31:00"), ("LEFT", "31:00")],
         ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]),
        # The second example of the reference page: not in order of time.
        ([("LEFT", "36:28"), ("PUBLISH_STOPPED", "36:28"), ("JOINED", "30:34"), ("PUBLISH_STARTED", "30:34"),
          ("JOIN_ERROR", "32:34")], ["PUBLISH_STARTED", "JOINED", "JOIN_ERROR", "PUBLISH_STOPPED", "LEFT"]),
    ],
)  # fmt: skip
def test_the_order_of_the_source_holds_where_times_are_equal(
    book: Path, listed: list[tuple[str, str]], stored: list[str]
) -> None:
    document = json.loads(aws(*listed))
    for each in document["events"]:
        if each["name"] == "JOIN_ERROR":
            each["errorCode"] = "QUOTA_EXCEEDED"
    import_files(book, json.dumps(document).encode(), session=NAMED)
    assert [json.loads(line)["name"] for line in export(book).splitlines()] == stored


USERS_GUIDE = [
    {"name": "JOINED", "eventTime": "2023-02-01T22:48:41Z"},
    {"name": "SUBSCRIBE_STARTED", "eventTime": "2023-02-01T22:48:41Z", "remoteParticipantId": "Ou5b5n5XLMdC"},
    {"name": "SUBSCRIBE_STOPPED", "eventTime": "2023-02-01T22:49:45Z", "remoteParticipantId": "Ou5b5n5XLMdC"},
    {"name": "LEFT", "eventTime": "2023-02-01T22:49:45Z"},
]
"""The sample of the user guide, "Monitoring Stage Health", with a date: oldest first."""


def test_the_sample_of_the_users_guide_keeps_its_order(book: Path) -> None:
    events = [{**each, "participantId": "AdRezBl021t0"} for each in USERS_GUIDE]
    import_files(book, json.dumps({"events": events}).encode(), session=NAMED)
    assert [json.loads(line)["name"] for line in export(book).splitlines()] == [each["name"] for each in USERS_GUIDE]
    require_sound(book)


def test_the_documented_example_with_a_replication_is_imported(book: Path) -> None:
    output = documented("list-participant-events")[1].output
    import_files(book, json.dumps(output).encode(), session=NAMED)
    assert [json.loads(line)["name"] for line in export(book).splitlines()] == [
        *("REPLICATION_STARTED", "PUBLISH_STARTED", "JOINED", "REPLICATION_STOPPED", "PUBLISH_STOPPED", "LEFT")
    ]
    require_sound(book)


def test_the_documented_participants_and_sessions_go_with_the_events(book: Path) -> None:
    pages = ("list-participants", "list-stages", "get-stage")
    details = [json.dumps(documented(page)[0].output).encode() for page in pages]
    import_files(book, EXAMPLE.read_bytes(), *details, session=NAMED)
    require_sound(book)


def test_what_aws_would_print_of_a_simulation_is_imported(simulated: Path, tmp_path: Path) -> None:
    """Whole seconds, no causes, the newest first: for all participants of each session, some order keeps the rules."""
    sessions: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in export(simulated).splitlines():
        event = json.loads(line)
        if "recording" in event:
            continue  # no member of shape EventName
        named = (event.pop("stageArn"), event.pop("sessionId"))
        time = event["eventTime"][:19] + "+00:00"
        own = {"id", "sequence", "accountId", "userId", "cause", "detail"}
        sessions.setdefault(named, []).insert(0, {k: v for k, v in event.items() if k not in own} | {"eventTime": time})
    for number, (named, events) in enumerate(sessions.items()):
        source = json.dumps({"events": events}).encode()
        session = NamedSession(stage_arn=named[0], session_id=named[1])
        assert import_files(tmp_path / str(number), source, session=session).events == len(events)
        require_sound(tmp_path / str(number))


def test_the_next_session_may_begin_in_the_second_in_which_the_one_before_ends(book: Path) -> None:
    import_files(book, aws(("LEFT", "36:28"), ("JOINED", "30:34")), session=NAMED)
    following = NamedSession(stage_arn=ARN, session_id=OTHER_SESSION)
    again = aws(("LEFT", "36:29"), ("JOINED", "36:28"), participant_id="bob")
    for expected in (2, 0):
        assert import_files(book, again, session=following).events == expected
    require_sound(book)


def test_details_fill_in_what_events_do_not_say(book: Path) -> None:
    participant = {
        "participant": {
            "participantId": "ann",
            "userId": "user-ann",
            "attributes": {"seat": "1"},
            "state": "DISCONNECTED",
            "published": False,
            "firstJoinTime": "2023-04-26T20:30:34.142000+00:00",
            "browserName": "Chrome",
            "protocol": "WHIP",
        }
    }
    session = {"stageSessions": [{"sessionId": SESSION, "startTime": "2023-04-26T20:30:30Z", "endTime": 1682541400}]}
    stage = {"stage": {"arn": ARN, "name": "talk", "tags": {"room": "1"}}}
    events = aws(("LEFT", "36:28"), ("JOINED", "30:34"))
    import_files(book, events, *(json.dumps(each).encode() for each in (participant, session, stage)), session=NAMED)
    with HistoryFiles(book) as files:
        record = files.book.get_participant(ARN, SESSION, "ann")
        stored = files.book.get_session(ARN, SESSION)
        named = files.book.get_stage(ARN)
    assert record is not None
    assert (record.user_id, record.attributes, record.protocol) == ("user-ann", {"seat": "1"}, ParticipantProtocol.WHIP)
    assert record.client.browser_name == "Chrome"
    assert stored is not None
    assert (stored.start_ms, stored.end_ms) == (1_682_541_030_000, 1_682_541_400_000)
    assert named is not None
    assert (named.name, named.tags) == ("talk", {"room": "1"})
    require_sound(book)


def test_a_session_that_is_continued_keeps_its_details(book: Path) -> None:
    details = {"participant": {"participantId": "ann", "attributes": {"seat": "1"}, "protocol": "WHIP"}}
    import_files(book, aws(("JOINED", "30:34")), json.dumps(details).encode(), session=NAMED)
    import_files(book, aws(("LEFT", "36:28"), ("JOINED", "30:34")), session=NAMED)
    with HistoryFiles(book) as files:
        record = files.book.get_participant(ARN, SESSION, "ann")
    assert record is not None
    assert (record.attributes, record.protocol) == ({"seat": "1"}, ParticipantProtocol.WHIP)
    assert record.state is ParticipantState.DISCONNECTED


@pytest.mark.parametrize(
    ("details", "rule"),
    [
        ({"participants": [{"participantId": "ann", "published": True}]}, "row"),
        ({"participants": [{"participantId": "ann", "state": "CONNECTED"}]}, "row"),
        ({"participants": [{"participantId": "ann", "firstJoinTime": "2023-04-26T20:30:40Z"}]}, "row"),
        ({"stageSession": {"sessionId": SESSION, "startTime": "2023-04-26T20:30:40Z"}}, "session-times"),
        (
            {"stageSession": {"sessionId": SESSION, "startTime": 1, "endTime": "2023-04-26T20:30:40Z"}},
            "session-times",
        ),
    ],
)
def test_details_that_contradict_the_events_are_refused(book: Path, details: dict[str, Any], rule: str) -> None:
    events = aws(("LEFT", "36:28"), ("JOINED", "30:34"))
    found = refusal(book, events, json.dumps(details).encode(), session=NAMED)
    assert found.startswith(f"{rule} at file-")


def test_the_newest_time_may_be_the_end_of_a_session(book: Path) -> None:
    ended = {"stageSession": {"sessionId": SESSION, "startTime": 1, "endTime": 7_000_000_000}}
    events = aws(("LEFT", "36:28"), ("JOINED", "30:34"))
    assert import_files(book, events, json.dumps(ended).encode(), session=NAMED).newest_ms == 7_000_000_000_000


def test_an_ended_session_with_somebody_on_stage_is_refused(book: Path) -> None:
    ended = {"stageSession": {"sessionId": SESSION, "startTime": 1, "endTime": "2023-04-26T20:31:00Z"}}
    found = refusal(book, aws(("JOINED", "30:34")), json.dumps(ended, indent=1).encode(), session=NAMED)
    assert found == "closed at file-2:2"


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        (b"{}", "form at file-1:1"),
        (b"[]", "form at file-1:1"),
        (b"text", "form at file-1:1"),
        (b'{"events": [\n{"name": 1}]}', "form at file-1:2"),
        (b'{"events": [\n\n{"name": "JOINED", "participantId": "a", "eventTime": "yesterday"}]}', "form at file-1:3"),
        (b'{"events": []', "form at file-1:1"),
        (b'{"events": [1e999]}', "form at file-1:1"),
        (b'{"events": [' + b"9" * 5_000 + b"]}", "form at file-1:1"),
        (b'{"events": ' + b"[" * 100_000, "form at file-1:1"),
        (gzip.compress(b"{}", mtime=0)[:-9], "form at file-1"),
        (b"\xff\xfe", "form at file-1:1"),
        (aws(("PUBLISH_STARTED", "30:34")), "on-stage at file-1:3"),
        (aws(("JOINED", "30:34"), ("JOINED", "30:30")), "presence at file-1:3"),
        (aws(("JOINED", "30:34"), errorCode="QUOTA_EXCEEDED"), "error-code at file-1:3"),
        (aws(("JOINED", "30:34"), colour="red"), "form at file-1:3"),
        (b'{"participant":\n{"participantId": "a", "osName": "\\ud800"}}', "form at file-1:2"),
        (b'{"participant": {"participantId": "a b"}}', "ids at file-1:1"),
        (b'{"participant": {"participantId": "a", "userId": "' + b"u" * 129 + b'"}}', "ids at file-1:1"),
        (b'{"participant": {"participantId": "a", "sourceStageArn": "a"}}', "ids at file-1:1"),
        (b'{"participant": {"participantId": "a", "ingestConfigurationArn": "a"}}', "ids at file-1:1"),
        (
            b'{"stageSession": {"sessionId": "a", "startTime": 0, "endTime": "2249-01-01T00:00:00Z"}}',
            "form at file-1:1",
        ),
        (b'{"stages": [\n{"arn": "a"}]}', "ids at file-1:2"),
        (json.dumps({"stage": {"arn": ARN, "name": "a b"}}).encode(), "form at file-1:1"),
        (json.dumps({"stage": {"arn": ARN, "tags": {str(n): "" for n in range(51)}}}).encode(), "form at file-1:1"),
    ],
)
def test_output_that_breaks_a_rule_is_named_with_its_line(book: Path, content: bytes, refused: str) -> None:
    assert refusal(book, content, session=NAMED) == refused
    assert not book.exists()


def test_output_without_a_session_is_refused(book: Path) -> None:
    assert refusal(book, aws(("JOINED", "30:34"))) == "form at file-1:3"
    assert refusal(book, aws(("JOINED", "30:34")), session=NamedSession(stage_arn=ARN)) == "form at file-1:3"
    assert refusal(book, session=NamedSession(stage_arn="arn", session_id=SESSION)).startswith("ids at --stage-arn")


def test_output_has_a_maximum_size_after_decompression(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = aws(("LEFT", "36:28"), ("JOINED", "30:34"))
    monkeypatch.setattr("stagebook.audit.import_sources.import_files.MAXIMUM_DOCUMENTS_BYTES", len(content))
    assert refusal(book, gzip.compress(content + b" "), session=NAMED) == "form at file-1"
    assert refusal(book, gzip.compress(content), session=NAMED) == "imported"


def test_empty_sources_have_no_events(book: Path) -> None:
    assert import_files(book, b"", b'{"events": []}', session=NAMED).events == 0


# Sessions.


def lines_of(path: Path, *sessions: tuple[str, int, int]) -> list[bytes]:
    """Return the lines of a book with these sessions, each an id, the time of JOINED and that of LEFT in seconds."""

    async def write() -> None:
        book = open_book(path)
        await commit(book, put_stage())
        for session_id, start, end in sessions:
            start_ms, end_ms = NOON_MS + start * 1_000, NOON_MS + end * 1_000
            await commit(book, open_session(session_id, start_ms=start_ms), put("p", session_id=session_id))
            await commit(book, append("p", at_ms=start_ms, session_id=session_id))
            await commit(book, append("p", EventName.LEFT, at_ms=end_ms, session_id=session_id))
            await commit(book, end_session(session_id, end_ms=end_ms))
        await book.close()

    asyncio.run(write())
    return export(path).splitlines(keepends=True)


def test_sessions_of_a_stage_must_not_overlap(book: Path, tmp_path: Path) -> None:
    joined, left, other_joined, other_left = lines_of(tmp_path / "source", (SESSION, 0, 5), (OTHER_SESSION, 6, 9))
    assert refusal(book, b"".join([joined, other_joined])) == "one-session at file-1:2"
    assert refusal(book, b"".join([joined, left, other_joined, other_left])) == "imported"
    require_sound(book)


def test_a_session_that_has_ended_in_the_book_is_not_continued(book: Path, tmp_path: Path) -> None:
    lines = lines_of(tmp_path / "source", (SESSION, 0, 5))
    import_files(book, b"".join(lines))
    again = aws(("JOINED", "30:34"), participant_id="bob").replace(b"2023-", b"2025-")
    assert refusal(book, again, session=NAMED) == "whole-session at file-1:3"


def test_a_session_that_the_server_has_continued_is_not_continued(book: Path) -> None:
    """The book has an event of the session that the source lacks."""
    import_files(book, aws(("JOINED", "30:34")), aws(("JOINED", "30:34"), participant_id="bob"), session=NAMED)
    longer = aws(("LEFT", "36:28"), ("JOINED", "30:34"))
    assert refusal(book, longer, session=NAMED).startswith("whole-session at file-1:3")


def test_an_event_of_a_deleted_stage_is_refused(simulated: Path, book: Path) -> None:
    shutil.copy(simulated, book)
    connection = apsw.Connection(str(book))
    arn = str(connection.execute("UPDATE stage SET deleted_ms = 1 RETURNING arn").fetchall()[0][0])
    connection.close()
    future = aws(("JOINED", "30:34")).replace(b"2023-", b"2030-")
    found = refusal(book, future, session=NamedSession(stage_arn=arn, session_id=SESSION))
    assert found == "references at file-1:3"


def test_the_message_says_what_and_where(book: Path) -> None:
    with pytest.raises(RuleBrokenError) as raised:
        import_files(book, aws(("LEFT", "30:34")), session=NAMED)
    assert str(raised.value).startswith(
        f"file-1:3 {ARN} session {SESSION} participant ann: presence: LEFT before JOINED"
    )


def crowded_sessions(sessions: int) -> bytes:
    """Return the export of sessions of one stage, one after another, each with 60 participants."""
    events: list[LoggedEvent] = []
    for number in range(sessions):
        for name in (EventName.JOINED, EventName.LEFT):
            for who in range(60):
                recorded = RecordedEvent(
                    sequence=(NOON_MS << SEQUENCE_TIME_SHIFT) + len(events),
                    participant_id=f"p{who}",
                    event=Event(name=name, cause=Cause.CLIENT),
                )
                session_id = f"st-{number:013d}"
                events.append(
                    LoggedEvent(
                        account_id=ACCOUNT, stage_arn=ARN, session_id=session_id, user_id="ann", recorded=recorded
                    )
                )
    return json_lines(events)


def test_the_memory_is_that_of_the_newest_session_of_a_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that is over leaves less than a tenth of what its participants take."""
    monkeypatch.setattr(book_import, "EVENTS_PER_GROUP", 50)
    monkeypatch.setattr(book_insertion, "ROWS_PER_GROUP", 50)
    peaks: list[int] = []
    for sessions in (5, 5, 25):
        content = crowded_sessions(sessions)
        tracemalloc.start()
        import_files(tmp_path / str(len(peaks)), content)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] - peaks[1] < 20 * 60 * 200
