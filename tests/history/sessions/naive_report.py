"""A naive model of a session report: the state after every event, summed over the time until the next one."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import TypeAlias

import msgspec

from stagebook.book.book_values import RecordedEvent
from stagebook.book.changes import SEQUENCE_TIME_SHIFT
from stagebook.stage.events import EventName

State: TypeAlias = Counter[tuple[str, str, str]]
"""What is open: the participant, the kind, and the remote participant, with the number of unanswered starts."""


class NaiveTotals(msgspec.Struct, frozen=True, kw_only=True):
    """The totals that the model computes."""

    participant_ms: int
    publisher_ms: int
    subscriber_ms: int
    peak_participants: tuple[int, int | None]
    peak_publishers: tuple[int, int | None]


def naive_totals(events: Sequence[RecordedEvent], *, session_end_ms: int | None, now_ms: int) -> NaiveTotals:
    """Return the totals of a session from all of its events in the order of their sequence numbers."""
    state: State = Counter()
    sums: Counter[str] = Counter()
    peaks: dict[str, tuple[int, int | None]] = {"joined": (0, None), "published": (0, None)}
    end_ms = now_ms if session_end_ms is None else session_end_ms
    for recorded, following in zip_longest(events, events[1:]):
        _apply(state, recorded)
        here_ms = recorded.sequence >> SEQUENCE_TIME_SHIFT
        until_ms = end_ms if following is None else following.sequence >> SEQUENCE_TIME_SHIFT
        for kind in ("joined", "published", "watched"):
            open_now = sum(1 for key, count in state.items() if key[1] == kind and count > 0)
            sums[kind] += open_now * max(0, until_ms - here_ms)
            if kind in peaks and open_now > peaks[kind][0]:
                peaks[kind] = (open_now, here_ms)
    return NaiveTotals(
        participant_ms=sums["joined"],
        publisher_ms=sums["published"],
        subscriber_ms=sums["watched"],
        peak_participants=peaks["joined"],
        peak_publishers=peaks["published"],
    )


def _apply(state: State, recorded: RecordedEvent) -> None:
    who, event = recorded.participant_id, recorded.event
    watched = (who, "watched", event.remote_participant_id or "")
    match event.name:
        case EventName.JOINED:
            state[who, "joined", ""] = 1
        case EventName.LEFT:
            _clear(state, (key for key in list(state) if key[0] == who))
        case EventName.PUBLISH_STARTED:
            state[who, "published", ""] += 1
        case EventName.PUBLISH_STOPPED:
            state[who, "published", ""] = max(0, state[who, "published", ""] - 1)
        case EventName.SUBSCRIBE_STARTED:
            state[watched] += 1
        case EventName.SUBSCRIBE_STOPPED:
            state[watched] = max(0, state[watched] - 1)


def _clear(state: State, keys: Iterable[tuple[str, str, str]]) -> None:
    for key in keys:
        del state[key]
