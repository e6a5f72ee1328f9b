"""What is live: the running sessions, the rooms of an observed server, and what the engine says of connections."""

from collections.abc import Sequence
from typing import NoReturn

import pytest

from stagebook.manager.session.live_state import LiveState
from stagebook.manager.session.session_registry import LiveSession, LiveTotals, SessionRegistry
from stagebook.media.port import MediaRefusedError, RefusalReason
from stagebook.stage.errors import ServerBusyError
from tests.manager.scripted_engine import ScriptedEngine

ROOM = LiveSession(session_id="st-1", start_ms=5, participants=2, publishers=1, subscriptions=0)
ROOM_STAGE = "arn:aws:ivs:us-west-2:123456789012:stage/livekit-room"
STAGE = "arn:aws:ivs:us-west-2:123456789012:stage/abcd"


class Rooms:
    """The open rooms of a server, of which one is on ROOM_STAGE."""

    def live_session(self, stage_arn: str) -> LiveSession | None:
        return {ROOM_STAGE: ROOM, STAGE: ROOM}.get(stage_arn)

    def totals(self) -> LiveTotals:
        return LiveTotals(sessions=1, participants=2, publishers=1, subscriptions=0)

    async def disconnect(self, stage_arn: str, participant_id: str) -> None:
        raise AssertionError((stage_arn, participant_id))


class BusyEngine(ScriptedEngine):
    """Refuses to say what it knows of connections."""

    async def statistics(self, connection_ids: Sequence[str]) -> NoReturn:
        raise MediaRefusedError(reason=RefusalReason.BUSY, detail=f"busy: {len(connection_ids)}")


def test_the_rooms_of_an_observed_server_are_live_too() -> None:
    live = LiveState(registry=SessionRegistry(), media=ScriptedEngine())
    assert (live.totals().participants, live.session(ROOM_STAGE)) == (0, None)
    live.rooms = Rooms()
    assert (live.totals().participants, live.session(ROOM_STAGE)) == (2, ROOM)


def test_a_stage_that_shows_no_room_is_not_asked_of_the_rooms() -> None:
    live = LiveState(registry=SessionRegistry(), media=ScriptedEngine())
    live.rooms = Rooms()
    assert live.session(STAGE) is None


async def test_an_engine_that_is_busy_makes_the_server_busy() -> None:
    live = LiveState(registry=SessionRegistry(), media=BusyEngine())
    with pytest.raises(ServerBusyError, match="busy: 1"):
        await live.statistics(["c"])
