"""The taps of a composition: opened for who is shown, closed for who has left, opened again when they end."""

import asyncio
from collections.abc import Awaitable, Callable

from stagebook.media.composition.composition_port import ComposedParticipant
from stagebook.media.composition.processes.composition_taps import CompositionTaps
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import MediaRefusedError, RefusalReason
from stagebook.media.rtc.sfu.relay.relay_messages import SourceDescription


class Engines:
    """An opener whose sources exist or not, and the process that accepts its taps."""

    def __init__(self) -> None:
        self.refusals = 0
        self.open: dict[str, str] = {}
        """Participant ids by tap id."""
        self.sources: asyncio.Queue[str] = asyncio.Queue()
        self.closed: asyncio.Queue[str] = asyncio.Queue()

    async def open_tap(self, source_id: str, accept: Callable[[SourceDescription], Awaitable[FeedTicket]]) -> None:
        """As TapOpener."""
        if self.refusals:
            self.refusals -= 1
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_SOURCE, detail="no such source")
        await accept(SourceDescription(plan=None))
        self.sources.put_nowait(source_id)

    async def accept_tap(self, tap_id: str, participant_id: str, description: SourceDescription) -> FeedTicket:  # noqa: ARG002 - of the interface
        """As TapProcess."""
        self.open[tap_id] = participant_id
        return FeedTicket(path="path", token="token")

    def close_tap(self, tap_id: str) -> None:
        """As TapProcess."""
        if self.open.pop(tap_id, None) is not None:
            self.closed.put_nowait(tap_id)


def shown(*names: str) -> tuple[ComposedParticipant, ...]:
    return tuple(ComposedParticipant(participant_id=name, source_id=f"source-{name}") for name in names)


async def test_who_is_shown_has_a_tap_and_who_left_has_none() -> None:
    engines = Engines()
    taps = CompositionTaps(engines, engines)
    taps.show(shown("ann", "bob"))
    assert {await engines.sources.get(), await engines.sources.get()} == {"source-ann", "source-bob"}
    taps.show(shown("bob"))
    await engines.closed.get()
    assert list(engines.open.values()) == ["bob"]
    taps.stop()
    await engines.closed.get()
    assert engines.open == {}


async def test_a_tap_that_ended_is_opened_again() -> None:
    engines = Engines()
    taps = CompositionTaps(engines, engines)
    taps.show(shown("ann"))
    await engines.sources.get()
    (first,) = engines.open
    taps.tap_ended(first)
    assert await engines.sources.get() == "source-ann"
    (second,) = engines.open
    assert second != first
    taps.stop()


async def test_a_source_that_does_not_exist_yet_is_tried_again() -> None:
    engines = Engines()
    engines.refusals = 1
    taps = CompositionTaps(engines, engines)
    taps.show(shown("ann"))
    assert await engines.sources.get() == "source-ann"
    assert engines.refusals == 0
    taps.stop()


async def test_another_source_of_a_participant_is_another_tap() -> None:
    engines = Engines()
    taps = CompositionTaps(engines, engines)
    taps.show(shown("ann"))
    await engines.sources.get()
    taps.show((ComposedParticipant(participant_id="ann", source_id="source-new"),))
    assert await engines.sources.get() == "source-new"
    await engines.closed.get()
    assert list(engines.open.values()) == ["ann"]
    taps.stop()
