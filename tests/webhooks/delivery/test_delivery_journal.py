"""What the delivery process stores: positions, bounded history and dead letters, and what others change meanwhile."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import apsw
import msgspec
import pytest

from stagebook.book.book_source import DatabaseSource
from stagebook.book.postgres.leases.account_leases import take_account
from stagebook.book.postgres.leases.node_run import end_run, register_run, renew_run
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.stage.errors import ConflictError
from stagebook.webhooks import webhook_file
from stagebook.webhooks.delivery import delivery_journal
from stagebook.webhooks.delivery.delivery_journal import DeliveryJournal, JournalEntry
from stagebook.webhooks.delivery.delivery_schedule import DeliveryState, Progress
from stagebook.webhooks.delivery_records import Backlog
from stagebook.webhooks.webhook_file import DeliveryOrigin, RunKind, open_webhook_file, transaction
from stagebook.webhooks.webhook_place import WebhookPlace
from stagebook.webhooks.webhook_store import MAXIMUM_WAITING_TESTS, UNREADABLE_SECRET, WebhookSeal, WebhookStore
from stagebook.webhooks.webhook_tables import WebhooksBusyError, WebhookStorageError
from tests.history.logged import ACCOUNT
from tests.webhooks.destinations import SECRET, destination

SEAL = WebhookSeal(bytes(64))
RUN_ID = 1
_LET_LEASE_PASS = "UPDATE node_run SET heartbeat_at = heartbeat_at - interval '1 minute' WHERE run_id = %s"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "webhooks.sqlite3"


@pytest.fixture(params=["file", "database"])
def place(request: pytest.FixtureRequest) -> WebhookPlace:
    """Where the tables are. In a database, run 1 is the node that delivers, and owns the account."""
    if request.param == "file":
        path: Path = request.getfixturevalue("path")
        return path
    url = request.getfixturevalue("postgres_book_url")
    node = PostgresConnection(url)
    assert register_run(node, node="node-1", internal_url="", software_version="1") == RUN_ID
    assert take_account(node, ACCOUNT, run_id=RUN_ID).is_taken
    node.close()
    return DatabaseSource(url=url)


@pytest.fixture
def store(place: WebhookPlace) -> Iterator[WebhookStore]:
    with WebhookStore.open(place, seal=SEAL) as store:
        store.add(destination(), position=7)
        yield store


@pytest.fixture
def journal(place: WebhookPlace, store: WebhookStore) -> Iterator[DeliveryJournal]:  # noqa: ARG001 - it adds one
    journal = DeliveryJournal(place, seal=SEAL, run_id=RUN_ID)
    yield journal
    journal.close()


def entry(sequence: int, state: DeliveryState = DeliveryState.DELIVERED, *, run_key: int = 1) -> JournalEntry:
    return JournalEntry(
        destination_id="wh_1",
        run_key=run_key,
        sequence=sequence,
        session_id="st-1",
        origin=DeliveryOrigin.LIVE,
        event_id=f"id-{sequence}",
        name="JOINED",
        state=state,
        attempts=1,
        error="refused" if state is DeliveryState.DEAD else None,
        now_ms=sequence,
    )


def test_progress_is_read_again_as_it_was_stored(place: WebhookPlace, journal: DeliveryJournal) -> None:
    ((run, progress),) = journal.runs()
    assert (run.kind, progress) == (RunKind.LIVE, Progress(position=7))
    newer = Progress(position=20, lagging={"st-1": 3, "st-2": 9})
    journal.note_progress(run.key, newer)
    journal.flush({})
    again = DeliveryJournal(place, seal=SEAL, run_id=RUN_ID)
    assert again.runs()[0][1] == newer
    again.close()


def test_nothing_is_stored_before_the_flush(store: WebhookStore, journal: DeliveryJournal) -> None:
    journal.note(entry(1, DeliveryState.DEAD))
    journal.note_progress(1, Progress(position=20))
    assert store.dead_letters("wh_1", after=0, limit=10) == []
    journal.flush({})
    assert (len(store.dead_letters("wh_1", after=0, limit=10)), store.position("wh_1")) == (1, 20)


def test_the_attempts_of_an_event_are_one_line_of_the_history(store: WebhookStore, journal: DeliveryJournal) -> None:
    journal.note(msgspec.structs.replace(entry(1, DeliveryState.RETRYING), next_ms=99))
    journal.note(msgspec.structs.replace(entry(1), attempts=2, now_ms=50))
    journal.flush({})
    (line,) = store.deliveries("wh_1", before=None, limit=10)
    assert (line.state, line.attempts, line.first_ms, line.last_ms, line.next_ms) == ("delivered", 2, 1, 50, None)


def test_history_and_dead_letters_are_bounded(
    store: WebhookStore, journal: DeliveryJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_journal, "HISTORY_SIZE", 5)
    monkeypatch.setattr(delivery_journal, "DEAD_LETTERS_SIZE", 3)
    for sequence in range(1, 11):
        journal.note(entry(sequence, DeliveryState.DEAD))
    journal.flush({})
    assert [each.event_id for each in store.deliveries("wh_1", before=None, limit=99)] == [
        f"id-{sequence}" for sequence in (10, 9, 8, 7, 6)
    ]
    assert [each.sequence for each in store.dead_letters("wh_1", after=0, limit=99)] == [8, 9, 10]


def test_a_dead_letter_that_is_delivered_is_one_no_more(store: WebhookStore, journal: DeliveryJournal) -> None:
    journal.note(entry(1, DeliveryState.DEAD))
    journal.note(entry(2, DeliveryState.DEAD))
    journal.note(entry(2, DeliveryState.DELIVERED, run_key=2))
    journal.flush({})
    assert [each.sequence for each in store.dead_letters("wh_1", after=0, limit=9)] == [1]


def test_what_is_removed_meanwhile_stays_removed(store: WebhookStore, journal: DeliveryJournal) -> None:
    journal.note(entry(1, DeliveryState.DEAD))
    journal.note_progress(1, Progress(position=20, lagging={"st-1": 3}))
    store.remove("wh_1")
    journal.flush({"wh_1": Backlog(destination_id="wh_1")})
    assert (journal.runs(), store.deliveries("wh_1", before=None, limit=9), store.backlogs()) == ([], [], {})


def test_a_destination_that_is_gone_is_disabled_with_what_else_is_stored(
    store: WebhookStore, journal: DeliveryJournal
) -> None:
    journal.note_gone("wh_1", reason="the endpoint answered 410")
    assert store.get_destination(ACCOUNT, "wh_1").is_enabled
    journal.flush({})
    gone = store.get_destination(ACCOUNT, "wh_1")
    assert (gone.disabled_reason, gone.revision) == ("the endpoint answered 410", 2)
    store.replace(destination())
    journal.flush({})
    assert store.get_destination(ACCOUNT, "wh_1").is_enabled


def test_a_position_that_an_operator_sets_is_not_overwritten(store: WebhookStore, journal: DeliveryJournal) -> None:
    journal.note_progress(1, Progress(position=20, lagging={"st-1": 3}))
    store.replace(destination(), since_ms=5, position=1_000)
    journal.flush({})
    ((run, progress),) = journal.runs()
    assert (run.since_ms, progress) == (5, Progress(position=1_000))


def test_changes_of_others_are_noticed_and_own_ones_are_not(store: WebhookStore, journal: DeliveryJournal) -> None:
    assert journal.has_changed()
    journal.note(entry(1))
    journal.flush({})
    assert not journal.has_changed()
    store.add_test("wh_1", event_id="test_1", now_ms=1)
    assert journal.has_changed()


def test_the_test_events_that_wait_are_bounded(store: WebhookStore, journal: DeliveryJournal) -> None:
    for number in range(MAXIMUM_WAITING_TESTS):
        store.add_test("wh_1", event_id=f"test_{number}", now_ms=1)
    with pytest.raises(ConflictError):
        store.add_test("wh_1", event_id="test_more", now_ms=1)
    assert [each.event_id for each in journal.test_requests(["wh_1"], limit=2)] == ["test_0", "test_1"]
    assert journal.test_requests(["wh_2"], limit=2) == []


def test_an_id_is_used_once(store: WebhookStore) -> None:
    with pytest.raises(ConflictError):
        store.add(destination(), position=0)


def test_a_secret_of_another_data_folder_disables_its_destination(place: WebhookPlace, store: WebhookStore) -> None:
    (mine,) = store.list_destinations(ACCOUNT)
    assert mine.secrets == (SECRET,)
    with WebhookStore.open(place, seal=WebhookSeal(bytes([1]) * 64)) as other:
        (theirs,) = other.list_destinations(ACCOUNT)
    assert (theirs.secrets, theirs.disabled_reason) == ((), UNREADABLE_SECRET)


def test_a_file_that_another_process_writes_for_too_long_is_an_error_of_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_file, "BUSY_TIMEOUT_MS", 0)
    writing = open_webhook_file(path)
    with (
        WebhookStore.open(path, seal=SEAL) as other,
        transaction(writing),
        pytest.raises(WebhooksBusyError, match="cannot be used"),
    ):
        other.add_test("wh_1", event_id="test_1", now_ms=1)
    writing.close()
    with WebhookStore.open(path, seal=SEAL) as store:
        store.add_test("wh_1", event_id="test_1", now_ms=1)


def test_a_run_that_is_over_stores_nothing_and_delivers_for_nobody(postgres_book_url: str) -> None:
    node = PostgresConnection(postgres_book_url)
    former, taker = (register_run(node, node=name, internal_url="", software_version="1") for name in ("a", "b"))
    source = DatabaseSource(url=postgres_book_url)
    assert take_account(node, ACCOUNT, run_id=former).is_taken
    with WebhookStore.open(source, seal=SEAL) as store:
        store.add(destination(), position=7)
        of_former, of_taker = (DeliveryJournal(source, seal=SEAL, run_id=each) for each in (former, taker))
        assert (of_former.owned_accounts(), of_taker.owned_accounts()) == ({ACCOUNT}, set())
        assert of_taker.has_changed()
        of_former.note_progress(1, Progress(position=8))
        of_former.flush({})
        # A node that is stopped or cut off does not renew its run: its process must not go on for long.
        node.execute(_LET_LEASE_PASS, (former,))
        assert of_former.owned_accounts() == set()
        renew_run(node, former)
        assert of_former.owned_accounts() == {ACCOUNT}
        end_run(node, former)
        assert take_account(node, ACCOUNT, run_id=taker).is_taken
        assert of_taker.has_changed()
        assert (of_former.owned_accounts(), of_taker.owned_accounts()) == (set(), {ACCOUNT})
        of_former.note(entry(9))
        of_former.note_progress(1, Progress(position=9))
        of_former.flush({})
        assert (store.position("wh_1"), store.deliveries("wh_1", before=None, limit=9)) == (8, [])
        of_former.close()
        of_taker.close()
    node.close()


def test_a_database_of_another_program_is_refused(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    with pytest.raises(WebhookStorageError, match="another program"):
        open_webhook_file(path)


def test_a_file_may_be_made_by_several_at_once(tmp_path: Path) -> None:
    """The server and a command may use a new data folder at the same time."""
    with ThreadPoolExecutor(4) as threads:
        for number in range(30):
            start = Barrier(4)
            for connection in threads.map(open_after, [start] * 4, [tmp_path / str(number)] * 4):
                connection.close()


def open_after(start: Barrier, path: Path) -> apsw.Connection:
    start.wait()
    return open_webhook_file(path)


def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    open_webhook_file(path).close()
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA user_version = 2").fetchall()
    connection.close()
    with pytest.raises(WebhookStorageError, match="version 2"):
        open_webhook_file(path)
