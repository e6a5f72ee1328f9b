"""Polls repair what webhooks lose, within the bounds of time and of calls that the module states."""

import asyncio
from collections import Counter

import pytest
from livekit.protocol.models import ParticipantInfo

from stagebook.media.livekit.facts.livekit_pings import LiveKitState, Reachability
from stagebook.media.livekit.facts.livekit_polls import (
    LOST_AFTER_SECONDS,
    MAX_CALLS_AT_ONCE,
    MAX_CALLS_PER_SECOND,
    NEW_CONNECTION_SECONDS,
    OUTAGE_SECONDS,
    PUBLISHER_CALLS_PER_SECOND,
    LiveKitPolls,
)
from stagebook.media.livekit.room_service import RoomServiceError
from stagebook.media.port import CloseCause
from tests.media.livekit.livekit_book import RecordedRooms, participant


class Clock:
    """Time that passes in `sleep` only. Tasks that are ready run first."""

    def __init__(self) -> None:
        self.now = 0.0
        self._waiting: list[tuple[float, asyncio.Event]] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        self.now += seconds
        for due in [each for each in self._waiting if each[0] <= self.now]:
            self._waiting.remove(due)
            due[1].set()

    async def wait(self, seconds: float) -> None:
        """Wait until others have slept for so long."""
        over = asyncio.Event()
        self._waiting.append((self.now + seconds, over))
        await over.wait()


class ScriptedService:
    """Answers by the dictionary `participants`; a call fails while `is_down`."""

    def __init__(self, clock: Clock) -> None:
        self.participants: dict[str, ParticipantInfo] = {}
        self.is_down = False
        self.asked: list[tuple[float, str]] = []
        self.removed: list[str] = []
        self._clock = clock

    async def get_participant(self, name: str, identity: str) -> ParticipantInfo | None:  # noqa: ARG002 - one room
        self.asked.append((self._clock.now, identity))
        if self.is_down:
            raise RoomServiceError("down", code="unavailable")
        return self.participants.get(identity)

    async def remove_participant(self, name: str, identity: str) -> None:  # noqa: ARG002 - one room
        self.removed.append(identity)


class Polled:
    """Polls with a clock, a service and rooms of their own."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.service = ScriptedService(self.clock)
        self.book = RecordedRooms()
        self.reachability = Reachability.REACHABLE
        self.state_since = 0.0
        self.polls = LiveKitPolls(
            self.book.rooms,
            self.service,
            connect_timeout_seconds=15.0,
            livekit_state=self._state,
            monotonic=self.clock,
            sleep=self.clock.sleep,
        )

    def note(self, reachability: Reachability) -> None:
        """Let LiveKit as a whole be in a state from now on."""
        self.reachability, self.state_since = reachability, self.clock.now

    def _state(self) -> LiveKitState:
        """The result of a ping a moment ago."""
        since = self.state_since
        return LiveKitState(
            reachability=self.reachability, since=since, since_epoch_seconds=since, pinged_at=self.clock.now
        )

    async def run(self, seconds: float) -> None:
        end = self.clock.now + seconds
        while self.clock.now < end:
            await self.polls.run_round()
        await self.clock.sleep(0)

    def connected(self) -> None:
        """A connected publisher that LiveKit knows."""
        self.book.publisher(now=self.clock.now)
        self.book.rooms.note_connected("publisher")
        self.service.participants["publisher"] = participant("publisher")


@pytest.fixture
def polled() -> Polled:
    return Polled()


async def test_a_lost_join_is_found_in_the_next_second(polled: Polled) -> None:
    polled.book.publisher()
    polled.service.participants["publisher"] = participant("publisher")
    await polled.run(2)
    assert polled.book.connected == ["publisher"]


async def test_a_new_connection_may_not_be_found_yet(polled: Polled) -> None:
    polled.book.publisher()
    await polled.run(NEW_CONNECTION_SECONDS - 1)
    assert polled.book.facts == []
    await polled.run(3)
    assert polled.book.closed == [("publisher", CloseCause.NEVER_CONNECTED)]


async def test_a_peer_that_does_not_connect_in_time_is_ended(polled: Polled) -> None:
    polled.book.publisher()
    polled.service.participants["publisher"] = participant("publisher", state=ParticipantInfo.JOINED)
    await polled.run(15)
    assert polled.book.facts == []
    await polled.run(3)
    assert polled.book.closed == [("publisher", CloseCause.NEVER_CONNECTED)]
    assert polled.service.removed == ["publisher"]


async def test_a_publisher_that_is_gone_is_found_within_half_a_second(polled: Polled) -> None:
    polled.connected()
    await polled.run(10)
    del polled.service.participants["publisher"]
    await polled.run(0.5)
    assert polled.book.closed == [("publisher", CloseCause.CONSENT_LOST)]


@pytest.mark.parametrize("publishers", [5, 20, 40])
async def test_publishers_are_polled_as_often_as_their_number_allows(polled: Polled, publishers: int) -> None:
    for number in range(publishers):
        identity = f"publisher {number}"
        polled.book.publisher(identity, source_id=identity)
        polled.book.rooms.note_connected(identity)
        polled.service.participants[identity] = participant(identity)
    await polled.run(20)
    counts = Counter(identity for _, identity in polled.service.asked)
    expected = 20 * PUBLISHER_CALLS_PER_SECOND / publishers
    assert len(counts) == publishers
    assert 0.9 * expected <= min(counts.values()) <= max(counts.values()) <= 1.1 * expected


async def test_a_publisher_whose_calls_fail_is_polled_every_2_s(polled: Polled) -> None:
    polled.connected()
    await polled.run(5)
    polled.note(Reachability.FAILING)
    polled.service.is_down = True
    await polled.run(1)
    polled.service.asked.clear()
    await polled.run(20)
    assert 9 <= len(polled.service.asked) <= 11


async def test_viewers_are_asked_for_without_a_socket_only(polled: Polled) -> None:
    polled.connected()
    for viewer_id, has_socket in (("with", True), ("without", False)):
        polled.book.viewer(viewer_id, has_socket=has_socket)
        polled.book.rooms.note_connected(viewer_id)
        polled.service.participants[viewer_id] = participant(viewer_id)
    await polled.run(20)
    counts = Counter(identity for _, identity in polled.service.asked)
    assert counts["with"] == 0
    assert 3 <= counts["without"] <= 5
    assert 75 <= counts["publisher"] <= 85


async def test_a_dead_node_ends_its_sources_within_12_s(polled: Polled) -> None:
    polled.connected()
    polled.book.viewer()
    polled.book.rooms.note_connected("viewer")
    await polled.run(10)
    polled.service.is_down = True
    await polled.run(12)
    assert polled.book.closed == [("viewer", CloseCause.ENGINE_LOST), ("publisher", CloseCause.ENGINE_LOST)]


async def test_the_slow_answers_of_a_dead_node_do_not_keep_others_waiting(polled: Polled) -> None:
    """60 of 360 rooms are on a node that dies. Its calls fail after 3 s."""
    identities = [f"{'dead' if number % 6 == 0 else 'well'} {number}" for number in range(360)]
    for identity in identities:
        polled.book.publisher(identity, source_id=identity)
        polled.book.rooms.note_connected(identity)
        polled.service.participants[identity] = participant(identity)
    await polled.run(4)
    answer = polled.service.get_participant

    async def answer_late(name: str, identity: str) -> ParticipantInfo | None:
        if identity.startswith("dead"):
            await polled.clock.wait(3)
            raise RoomServiceError("no response from servers", code="unavailable")
        return await answer(name, identity)

    polled.service.get_participant = answer_late  # type: ignore[method-assign] # a node that is dead
    began = polled.clock.now
    await polled.run(12)
    assert len(polled.book.closed) == 60
    assert all(identity.startswith("dead") for identity, _ in polled.book.closed)
    asked = Counter(identity for at, identity in polled.service.asked if at > began and identity.startswith("well"))
    assert min(asked[each] for each in identities if each.startswith("well")) >= 4


async def test_one_call_waits_about_a_source_whose_last_call_has_failed(polled: Polled) -> None:
    polled.connected()
    for number in range(50):
        polled.book.viewer(f"viewer {number}", has_socket=False)
        polled.book.rooms.note_connected(f"viewer {number}")
    polled.service.is_down = True
    await polled.run(4)
    polled.service.asked.clear()
    await polled.run(1)
    assert len(polled.service.asked) == 1
    assert (polled.polls.answered, polled.polls.failed > 0) == (0, True)


async def test_an_answer_that_is_older_than_the_connection_ends_nothing(polled: Polled) -> None:
    polled.book.publisher()

    async def answer(name: str, identity: str) -> ParticipantInfo | None:  # noqa: ARG001 - one room
        polled.book.rooms.note_connected(identity)
        return None

    polled.service.get_participant = answer  # type: ignore[method-assign] # a webhook comes during the call
    polled.clock.now = NEW_CONNECTION_SECONDS + 2
    await polled.polls.run_round()
    assert (polled.book.connected, polled.book.closed) == (["publisher"], [])


async def test_an_answer_about_somebody_else_is_ignored(polled: Polled) -> None:
    polled.book.publisher()
    polled.connected()
    polled.book.viewer(has_socket=False)
    polled.service.participants["publisher"] = participant("viewer")
    polled.clock.now = 3.0
    await polled.polls.run_round()
    assert polled.book.connected == ["publisher"]


async def test_a_short_outage_ends_nothing(polled: Polled) -> None:
    polled.connected()
    await polled.run(10)
    for _ in range(3):
        polled.service.is_down = True
        await polled.run(LOST_AFTER_SECONDS - 1)
        polled.service.is_down = False
        await polled.run(3)
    assert polled.book.closed == []


async def test_an_outage_of_the_api_ends_nothing(polled: Polled) -> None:
    polled.connected()
    await polled.run(10)
    for _ in range(3):
        polled.note(Reachability.FAILING)
        polled.service.is_down = True
        await polled.run(60)
        # The first calls after an outage can still fail.
        polled.note(Reachability.REACHABLE)
        await polled.run(LOST_AFTER_SECONDS - 2)
        polled.service.is_down = False
        await polled.run(3)
    assert polled.book.closed == []


async def test_a_node_that_has_failed_in_an_outage_is_found_after_it(polled: Polled) -> None:
    polled.connected()
    polled.note(Reachability.FAILING)
    polled.service.is_down = True
    await polled.run(60)
    assert polled.book.closed == []
    polled.note(Reachability.REACHABLE)
    await polled.run(12)
    assert polled.book.closed == [("publisher", CloseCause.ENGINE_LOST)]


async def test_a_deployment_that_does_not_answer_is_lost_within_12_s(polled: Polled) -> None:
    polled.connected()
    polled.note(Reachability.UNREACHABLE)
    polled.service.is_down = True
    await polled.run(12)
    assert polled.book.closed == [("publisher", CloseCause.ENGINE_LOST)]


async def test_an_outage_without_an_end_ends_the_sources(polled: Polled) -> None:
    polled.connected()
    polled.note(Reachability.FAILING)
    polled.service.is_down = True
    await polled.run(OUTAGE_SECONDS - 5)
    assert polled.book.closed == []
    await polled.run(10)
    assert polled.book.closed == [("publisher", CloseCause.ENGINE_LOST)]


async def test_the_number_of_calls_is_bounded_and_nobody_is_forgotten(polled: Polled) -> None:
    for number in range(1_000):
        identity = f"publisher {number}"
        polled.book.publisher(identity, source_id=identity)
        polled.book.rooms.note_connected(identity)
        polled.service.participants[identity] = participant(identity)
    await polled.run(10)
    per_second = Counter(int(at + 1e-9) for at, _ in polled.service.asked)
    assert max(per_second.values()) <= MAX_CALLS_PER_SECOND + 1
    counts = Counter(identity for _, identity in polled.service.asked)
    assert len(counts) == 1_000
    assert max(counts.values()) <= min(counts.values()) + 1


async def test_few_calls_wait_for_an_answer_at_the_same_time(polled: Polled) -> None:
    waiting: set[str] = set()
    most = 0
    release = asyncio.Event()

    async def hang(name: str, identity: str) -> ParticipantInfo | None:  # noqa: ARG001 - one room
        nonlocal most
        waiting.add(identity)
        most = max(most, len(waiting))
        await release.wait()
        waiting.remove(identity)
        return participant(identity)

    polled.service.get_participant = hang  # type: ignore[method-assign] # a service that does not answer
    for number in range(MAX_CALLS_AT_ONCE + 20):
        polled.book.publisher(f"publisher {number}", source_id=f"source {number}")
    polled.clock.now = 1.0
    second = asyncio.create_task(polled.polls.run_round())
    await asyncio.sleep(0.05)
    assert (most, second.done()) == (MAX_CALLS_AT_ONCE, False)
    release.set()
    await second
    assert most == MAX_CALLS_AT_ONCE
