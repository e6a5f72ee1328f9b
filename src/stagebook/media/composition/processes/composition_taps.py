"""Keeps a tap open for each participant that a composition shows.

A tap is opened at the engine of the participant's source. If it cannot be opened, or ends while the participant is
shown (its engine was lost, or the publisher's source was made anew), it is opened again, with growing delays.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Final, Protocol

from stagebook.media.composition.composition_port import ComposedParticipant
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import MediaRefusedError
from stagebook.media.rtc.sfu.relay.relay_messages import SourceDescription

FIRST_RETRY_SECONDS: Final = 0.25
MAX_RETRY_SECONDS: Final = 5.0


class SourceTaps(Protocol):
    """What opens taps: the engine pool."""

    async def open_tap(self, source_id: str, accept: Callable[[SourceDescription], Awaitable[FeedTicket]]) -> None:
        """Start the media of a source. Raises MediaRefusedError."""


class TapProcess(Protocol):
    """The process that receives the taps."""

    async def accept_tap(self, tap_id: str, participant_id: str, description: SourceDescription) -> FeedTicket:
        """Let the process accept a tap. Raises MediaRefusedError."""

    def close_tap(self, tap_id: str) -> None:
        """Close a tap. Unknown ids are ignored."""


class CompositionTaps:
    """The taps of one composition."""

    def __init__(self, opener: SourceTaps, process: TapProcess) -> None:
        self._opener = opener
        self._process = process
        self._ids = count(1)
        self._keepers: dict[tuple[str, str], asyncio.Task[None]] = {}
        """By participant id and source id."""
        self._ended: dict[str, asyncio.Event] = {}
        """Set when a tap has ended, by tap id."""

    def show(self, participants: tuple[ComposedParticipant, ...]) -> None:
        """Open the taps of these participants, and close all others."""
        wanted = {(one.participant_id, one.source_id) for one in participants}
        for key in self._keepers.keys() - wanted:
            self._keepers.pop(key).cancel()
        for key in sorted(wanted - self._keepers.keys()):
            self._keepers[key] = asyncio.create_task(self._keep(*key))

    def tap_ended(self, tap_id: str) -> None:
        """The process says that a tap has ended."""
        if tap_id in self._ended:
            self._ended[tap_id].set()

    def stop(self) -> None:
        """Close all taps, and open no more."""
        self.show(())

    async def _keep(self, participant_id: str, source_id: str) -> None:
        delay = FIRST_RETRY_SECONDS
        while True:
            if await self._hold(participant_id, source_id):
                delay = FIRST_RETRY_SECONDS
            await asyncio.sleep(delay)
            delay = min(2 * delay, MAX_RETRY_SECONDS)

    async def _hold(self, participant_id: str, source_id: str) -> bool:
        """Open a tap and wait until it ends. Returns whether it was open."""
        tap_id = f"tap-{next(self._ids)}"
        ended = self._ended[tap_id] = asyncio.Event()

        def accept(description: SourceDescription) -> Awaitable[FeedTicket]:
            return self._process.accept_tap(tap_id, participant_id, description)

        try:
            await self._opener.open_tap(source_id, accept)
            await ended.wait()
        except MediaRefusedError:
            return False
        else:
            return True
        finally:
            del self._ended[tap_id]
            self._process.close_tap(tap_id)
