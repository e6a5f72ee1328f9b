"""The history of a LiveKit server in a real book: polls, webhooks, restarts, and what the AWS API may do to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from livekit.protocol import models
from structlog.testing import capture_logs

from stagebook.book.book_errors import BookFailedError, ChangeRefusedError
from stagebook.book.changes import Change
from stagebook.book.sqlite.open_readers import open_reader
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.store import BookReader, Durable
from stagebook.livekit_history.room_history import LEFT_OUT, RoomHistory
from stagebook.livekit_history.room_ids import participant_id_of, session_id_of_room, stage_arn_of_room
from stagebook.livekit_history.watched_livekit import WatchedLiveKit
from stagebook.manager.stage_manager import StageManager
from stagebook.media.livekit.room_service import RoomServiceError
from stagebook.stage.claims import TokenSpec
from stagebook.stage.errors import ConflictError, InvalidInputError, ServerBusyError, TokenRefusedError
from stagebook.stage.events import Cause
from stagebook.stage.resources import ParticipantState, Stage
from tests.audit.sound_book import require_sound
from tests.livekit_history.fake_livekit import KEY, FakeLiveKit
from tests.manager.manager_harness import ACCOUNT, REGION, ManagerHarness, SettableClock, running_manager

ROOM, OTHER_ROOM = "RM_aaaaaaaaaaaa", "RM_bbbbbbbbbbbb"
ANN, BOB = "PA_annannannann", "PA_bobbobbobbob"
SESSION = "st-Laaaaaaaaaaaa"
ARN = stage_arn_of_room("lobby", region=REGION, account_id=ACCOUNT, generation=0)


class DistantReader:
    """The reads of a book. They fail while `is_away`."""

    def __init__(self, book: BookReader) -> None:
        self._book = book
        self.is_away = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a method of BookReader
        if self.is_away:
            raise BookFailedError("the database cannot be reached")
        return getattr(self._book, name)


@dataclass
class Watch:
    """A running history with its book."""

    history: RoomHistory
    harness: ManagerHarness
    reader: "DistantReader"

    def names(self, participant: str, session: str = SESSION) -> list[str]:
        events = self.harness.book.list_events(ARN, session, participant.removeprefix("PA_"))
        return [entry.event.name.value for entry in events]

    async def poll(self) -> None:
        """Poll later than every webhook so far."""
        self.harness.clock.ms += 5_000
        await self.history.poll()


@asynccontextmanager
async def watching(
    path: Path,
    livekit: FakeLiveKit,
    *,
    clock: SettableClock | None = None,
    max_participants: int = 100,
    is_distant: bool = False,
) -> AsyncIterator[Watch]:
    """Watch a LiveKit, which is polled when a test says so. The end is that of a killed process."""
    histories: list[RoomHistory] = []
    readers: list[DistantReader] = []
    watched = WatchedLiveKit(url="http://livekit", key=KEY, calls_per_second=1e6, max_participants=max_participants)

    def observe(manager: StageManager, book: SqliteBook) -> None:
        readers.append(DistantReader(open_reader(path / "book.sqlite3") if is_distant else book))
        histories.append(
            RoomHistory(
                manager,
                livekit.service(),
                book=cast("BookReader", readers[0]),
                watched=watched,
                account_id=ACCOUNT,
                is_distant=is_distant,
            )
        )
        manager.observe(histories[0])

    async with running_manager(path / "book.sqlite3", clock=clock, before_start=observe) as harness:
        histories[0].restore()
        yield Watch(histories[0], harness, readers[0])
    require_sound(path / "book.sqlite3")


@pytest.fixture
def livekit() -> FakeLiveKit:
    made = FakeLiveKit()
    made.open("lobby", ROOM)
    return made


async def test_webhooks_write_sessions_participants_and_events(tmp_path: Path, livekit: FakeLiveKit) -> None:
    async with watching(tmp_path, livekit) as watch:
        await watch.history.poll()
        await watch.history.on_webhook(livekit.enter("lobby", ANN, "ann"))
        info = models.ParticipantInfo(sid=ANN, identity="ann")
        published = livekit.webhook("track_published", "lobby", info)
        published.track.sid = "TR_1"
        await watch.history.on_webhook(published)
        stage = watch.harness.manager.stages.find(ARN)
        assert (stage.name, stage.tags, stage.active_session_id) == ("lobby", {"livekit:room": "lobby"}, SESSION)
        live = watch.harness.manager.live.session(ARN)
        assert live is not None
        assert (live.participants, live.publishers) == (1, 1)
        assert watch.harness.manager.live.totals().participants == 1
        left = livekit.leave("lobby", ANN, reason=models.DisconnectReason.PARTICIPANT_REMOVED)
        await watch.history.on_webhook(left)
        await watch.history.on_webhook(left)
        await watch.history.on_webhook(livekit.webhook("room_finished", "lobby"))
        assert watch.names(ANN) == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
        last = watch.harness.book.list_events(ARN, SESSION, "annannannann")[-1].event
        assert (last.cause, last.detail) == (Cause.DISCONNECTED_BY_API, "PARTICIPANT_REMOVED")
        record = watch.harness.book.get_participant(ARN, SESSION, "annannannann")
        assert record is not None
        assert (record.user_id, record.state, record.published) == ("ann", ParticipantState.DISCONNECTED, True)
        session = watch.harness.book.get_session(ARN, SESSION)
        assert session is not None
        assert session.end_ms is not None


async def test_the_first_poll_records_since_when_everybody_is_there(tmp_path: Path, livekit: FakeLiveKit) -> None:
    clock = SettableClock()
    livekit.open("later", OTHER_ROOM)
    livekit.enter("lobby", BOB, "bob", joined_ms=clock.ms - 1_000, tracks=1)
    livekit.enter("later", ANN, "ann", joined_ms=clock.ms - 60_000)
    async with watching(tmp_path, livekit, clock=clock) as watch:
        await watch.history.poll()
        record = watch.harness.book.get_participant(ARN, SESSION, "bobbobbobbob")
        assert record is not None
        assert record.first_join_ms == clock.ms - 1_000
        arn = stage_arn_of_room("later", region=REGION, account_id=ACCOUNT, generation=0)
        (session,) = watch.harness.book.list_sessions(arn, after=None, limit=5).items
        assert session.start_ms == clock.ms - 60_000
        assert watch.names(BOB) == ["JOINED", "PUBLISH_STARTED"]


async def test_a_poll_repairs_what_webhooks_lost(tmp_path: Path, livekit: FakeLiveKit) -> None:
    async with watching(tmp_path, livekit) as watch:
        await watch.history.poll()
        livekit.enter("lobby", ANN, "ann", tracks=1)
        await watch.poll()
        assert watch.names(ANN) == ["JOINED", "PUBLISH_STARTED"]
        livekit.participants["lobby"][ANN].ClearField("tracks")
        await watch.poll()
        livekit.leave("lobby", ANN)
        await watch.poll()
        assert watch.names(ANN) == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
        livekit.close("lobby")
        await watch.poll()
        assert watch.harness.manager.stages.find(ARN).active_session_id is None


async def test_a_distant_book_that_is_away_is_asked_again(tmp_path: Path, livekit: FakeLiveKit) -> None:
    async with watching(tmp_path, livekit, is_distant=True) as watch:
        await watch.history.poll()
        await watch.history.on_webhook(livekit.enter("lobby", ANN, "ann"))
        bob_joined = livekit.enter("lobby", BOB, "bob")
        watch.reader.is_away = True
        with pytest.raises(ServerBusyError):
            await watch.history.on_webhook(bob_joined)
        with pytest.raises(ServerBusyError):
            await watch.poll()
        watch.reader.is_away = False
        await watch.poll()
        await watch.history.on_webhook(bob_joined)
        assert watch.names(ANN) == watch.names(BOB) == ["JOINED"]


async def test_observations_of_a_distant_book_are_made_one_after_the_other(
    tmp_path: Path, livekit: FakeLiveKit
) -> None:
    async with watching(tmp_path, livekit, is_distant=True) as watch:
        await watch.history.poll()
        joined = [livekit.enter("lobby", f"PA_{number:012}", str(number)) for number in range(20)]
        await asyncio.gather(*(watch.history.on_webhook(each) for each in [*joined, *joined]))
        for number in range(20):
            assert watch.names(f"PA_{number:012}") == ["JOINED"]


async def test_what_the_book_refuses_lets_the_book_be_read_again(
    tmp_path: Path, livekit: FakeLiveKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watching(tmp_path, livekit) as watch:
        await watch.history.poll()
        await watch.history.on_webhook(livekit.enter("lobby", ANN, "ann", tracks=1))
        await watch.poll()
        with monkeypatch.context() as refusing:
            refusing.setattr(watch.harness.manager.room_records, "record", _refuse)
            with pytest.raises(ChangeRefusedError):
                await watch.history.on_webhook(livekit.enter("lobby", BOB, "bob"))
        with pytest.raises(ServerBusyError):
            await watch.history.on_webhook(livekit.webhook("room_started", "lobby"))
        await watch.poll()
        livekit.leave("lobby", ANN)
        await watch.poll()
        assert watch.names(ANN) == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
        assert watch.names(BOB) == ["JOINED"]


def _refuse(_changes: list[Change]) -> Durable:
    raise ChangeRefusedError("refused by the test")


async def test_a_killed_run_is_continued(tmp_path: Path, livekit: FakeLiveKit) -> None:
    clock = SettableClock()
    async with watching(tmp_path, livekit, clock=clock) as watch:
        await watch.history.poll()
        await watch.history.on_webhook(livekit.enter("lobby", ANN, "ann", tracks=1))
        await watch.history.on_webhook(livekit.enter("lobby", BOB, "bob"))
        await watch.poll()
    livekit.leave("lobby", BOB)
    async with watching(tmp_path, livekit, clock=clock) as watch:
        with pytest.raises(ServerBusyError):
            await watch.history.on_webhook(livekit.webhook("room_started", "lobby"))
        assert watch.harness.manager.live.totals().publishers == 1
        await watch.poll()
        assert watch.names(ANN) == ["JOINED", "PUBLISH_STARTED"]
        assert watch.names(BOB) == ["JOINED", "LEFT"]
        assert watch.harness.manager.stages.find(ARN).active_session_id == SESSION
        await watch.history.on_webhook(livekit.leave("lobby", ANN))
        assert watch.names(ANN) == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]


async def test_a_server_that_watches_no_livekit_ends_the_open_sessions(tmp_path: Path, livekit: FakeLiveKit) -> None:
    livekit.enter("lobby", ANN, "ann")
    async with watching(tmp_path, livekit) as watch:
        await watch.history.poll()
    async with running_manager(tmp_path / "book.sqlite3") as harness:
        events = harness.book.list_events(ARN, SESSION, "annannannann")
        assert [entry.event.name.value for entry in events] == ["JOINED", "LEFT"]
        assert events[-1].event.cause is Cause.CRASH_RECOVERY
    async with watching(tmp_path, livekit) as watch:
        await watch.poll()
        assert watch.names(ANN, session_id_of_room(ROOM, part=2)) == ["JOINED"], "the room goes on in another session"


async def test_an_unreachable_livekit_ends_nothing(tmp_path: Path, livekit: FakeLiveKit) -> None:
    livekit.enter("lobby", ANN, "ann")
    async with watching(tmp_path, livekit) as watch:
        await watch.history.poll()
        livekit.is_down = True
        with pytest.raises(RoomServiceError):
            await watch.poll()
        assert watch.names(ANN) == ["JOINED"]


async def test_disconnect_participant_removes_it_from_the_room(tmp_path: Path, livekit: FakeLiveKit) -> None:
    livekit.enter("lobby", ANN, "ann")
    async with watching(tmp_path, livekit) as watch:
        await watch.history.poll()
        await watch.harness.manager.stages.disconnect_participant(
            stage_arn=ARN, participant_id="annannannann", reason="rude"
        )
        assert livekit.participants["lobby"] == {}
        await watch.harness.manager.stages.disconnect_participant(stage_arn=ARN, participant_id="unknown", reason="")
        assert livekit.calls.count("RemoveParticipant") == 1


async def test_nobody_is_admitted_to_a_stage_of_a_room(tmp_path: Path, livekit: FakeLiveKit) -> None:
    livekit.enter("lobby", ANN, "ann")
    async with watching(tmp_path, livekit) as watch:
        await watch.history.poll()
        harness = watch.harness
        with pytest.raises(InvalidInputError, match="LiveKit room"):
            harness.manager.tokens.create(stage_arn=ARN, spec=TokenSpec())
        other = await harness.stage()
        with pytest.raises(InvalidInputError, match="destinationStageArn"):
            await harness.manager.replications.start(
                source_stage_arn=other.arn,
                destination_stage_arn=ARN,
                participant_id="one",
                window_seconds=0,
                attributes={},
            )
        with pytest.raises(InvalidInputError, match="autoParticipantRecordingConfiguration"):
            await harness.manager.stages.update(
                stage_arn=ARN, name=None, recording={"storageConfigurationArn": other.arn}
            )
        assert (await harness.manager.stages.update(stage_arn=ARN, name="renamed", recording=None)).name == "renamed"
        stage = Stage(arn=ARN, account_id=ACCOUNT, name="", created_ms=0)
        harness.tokens.mint(harness.claims(stage, "self-signed"))
        with pytest.raises(TokenRefusedError, match="does not exist"):
            harness.admit("self-signed")


async def test_a_stage_is_deleted_only_while_its_room_is_not_open(tmp_path: Path, livekit: FakeLiveKit) -> None:
    livekit.enter("lobby", ANN, "ann")
    async with watching(tmp_path, livekit) as watch:
        await watch.history.poll()
        with pytest.raises(ConflictError):
            await watch.harness.manager.stages.delete(stage_arn=ARN)
        livekit.close("lobby")
        await watch.poll()
        await watch.harness.manager.stages.delete(stage_arn=ARN)
        livekit.open("lobby", OTHER_ROOM, created_ms=2)
        livekit.enter("lobby", BOB, "bob")
        await watch.poll()
        again = stage_arn_of_room("lobby", region=REGION, account_id=ACCOUNT, generation=1)
        assert watch.harness.manager.stages.find(again).active_session_id == "st-Lbbbbbbbbbbbb"


async def test_the_number_of_participants_is_bounded(tmp_path: Path, livekit: FakeLiveKit) -> None:
    livekit.enter("lobby", ANN, "ann", joined_ms=1)
    livekit.enter("lobby", BOB, "bob", joined_ms=2)
    async with watching(tmp_path, livekit, max_participants=1) as watch:
        await watch.history.poll()
        assert (watch.names(ANN), watch.names(BOB)) == (["JOINED"], [])
        livekit.leave("lobby", ANN)
        await watch.poll()
        await watch.poll()
        assert watch.names(BOB) == ["JOINED"]


async def test_webhooks_of_many_at_once_are_recorded_once(tmp_path: Path, livekit: FakeLiveKit) -> None:
    async with watching(tmp_path, livekit) as watch:
        await watch.history.poll()
        joined = [livekit.enter("lobby", f"PA_{number:012d}", "same") for number in range(50)]
        await asyncio.gather(*(watch.history.on_webhook(event) for event in [*joined, *joined]))
        assert {tuple(watch.names(f"PA_{number:012d}")) for number in range(50)} == {("JOINED",)}


async def test_names_of_any_kind_are_recorded(tmp_path: Path, livekit: FakeLiveKit) -> None:
    """LiveKit limits names and metadata only if its configuration says so."""
    room_name = "r\0" + "é" * 10_000
    livekit.open(room_name, "RM_\0")
    async with watching(tmp_path, livekit) as watch:
        await watch.history.poll()
        for sid, identity in (("PA_\0", "\0"), ("", "nobody"), ("PA_" + "z" * 10_000, "\U0001f600" * 10_000)):
            event = livekit.enter(room_name, sid, identity)
            event.participant.name = event.participant.metadata = "\0" * 100_000
            event.participant.attributes["\0"] = "\0"
            event.participant.disconnect_reason = 99  # type: ignore[assignment]  # of a later version
            await watch.history.on_webhook(event)
            event.event = "participant_left"
            await watch.history.on_webhook(event)
        await watch.poll()
        arn = stage_arn_of_room(room_name, region=REGION, account_id=ACCOUNT, generation=0)
        session = session_id_of_room("RM_\0")
        recorded = [
            watch.harness.book.list_events(arn, session, participant_id_of(sid))
            for sid in ("PA_\0", "PA_" + "z" * 10_000)
        ]
        assert [[each.event.name.value for each in events] for events in recorded] == [["JOINED", "LEFT"]] * 2


async def test_the_rooms_of_a_stagebook_with_this_livekit_are_left_out(tmp_path: Path, livekit: FakeLiveKit) -> None:
    for name in ("sb.-.AbC", "sb.123456789012.x", "stagebook-check-0123456789abcdef", "sb.others", "sb"):
        livekit.open(name, f"RM_{name}")
        livekit.enter(name, f"PA_{name}", "ann")
    with capture_logs() as logs:
        async with watching(tmp_path, livekit) as watch:
            for _ in range(2):
                await watch.poll()
            await watch.history.on_webhook(livekit.enter("sb.-.AbC", "PA_late", "bob"))
            assert watch.history.totals().sessions == 2
    assert [line["event"] for line in logs].count(LEFT_OUT) == 1
    assert (watch.history.polls, watch.history.failed_polls) == (2, 0)
