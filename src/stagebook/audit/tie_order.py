"""The order of events that have the same time.

Stagebook's own events have a defined order, and a cause. A source without causes, such as the AWS CLI, has times of
whole seconds or milliseconds, and does not say in which order the events of one time happened: the example in the AWS
CLI reference lists PUBLISH_STARTED before JOINED (oldest first). An import keeps the order of its source. The rules
must then hold for some order of the events of one participant that have the same time.

`causal_order` returns such an order, if there is one. It needs no search: with a single presence, what flowed before
stops, JOINED and LEFT alternate, and the rest happens in the last interval of presence, or in the only one:

    present before and after, with LEFT     stops of what flowed | LEFT JOINED .. LEFT JOINED | the rest
    present after                           JOINED LEFT .. JOINED | the rest
    absent after                            JOINED, if it was absent | the rest | LEFT | JOINED LEFT ..

In the rest, the starts and stops of each kind alternate.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from stagebook.stage.events import Event, EventName

_JOINED, _LEFT = EventName.JOINED, EventName.LEFT
_STOPS = frozenset((EventName.PUBLISH_STOPPED, EventName.SUBSCRIBE_STOPPED))
_STARTS = frozenset((EventName.PUBLISH_STARTED, EventName.SUBSCRIBE_STARTED))
_Item = TypeVar("_Item")


class Flowing(msgspec.Struct, frozen=True, kw_only=True):
    """What a participant does before the events: whether it is present and publishes, and whom it watches how often."""

    is_present: bool
    is_publishing: bool
    watched: Mapping[str | None, int]


def causal_order(entries: Sequence[tuple[Event, _Item]], before: Flowing) -> list[tuple[Event, _Item]]:
    """Return the events of one participant with one time, each with its item, in an order that may have happened."""
    joins = [entry for entry in entries if entry[0].name is _JOINED]
    leaves = [entry for entry in entries if entry[0].name is _LEFT]
    rest = [entry for entry in entries if entry[0].name is not _JOINED and entry[0].name is not _LEFT]
    if before.is_present + len(joins) - len(leaves) > 0:
        first, rest = _split_stops(rest, before) if before.is_present and leaves else ([], rest)
        frame = _alternate(leaves, joins) if before.is_present else _alternate(joins, leaves)
        flowing = Flowing(is_present=True, is_publishing=False, watched={}) if first else before
        return [*first, *frame, *_media_order(rest, flowing)]
    head = [] if before.is_present else joins[:1]
    return [*head, *_media_order(rest, before), *_alternate(leaves, joins[len(head) :])]


def _alternate(first: Sequence[_Item], second: Sequence[_Item]) -> list[_Item]:
    """Return the items of both by turns; what one has more comes at the end."""
    common = min(len(first), len(second))
    pairs = [item for pair in zip(first, second, strict=False) for item in pair]
    return [*pairs, *first[common:], *second[common:]]


def _split_stops(
    rest: Sequence[tuple[Event, _Item]], before: Flowing
) -> tuple[list[tuple[Event, _Item]], list[tuple[Event, _Item]]]:
    """Return the stops of what flowed before, and the others."""
    open_counts: Counter[str | None] = Counter(before.watched)
    publishing = before.is_publishing
    first: list[tuple[Event, _Item]] = []
    others: list[tuple[Event, _Item]] = []
    for entry in rest:
        event = entry[0]
        if event.name is EventName.PUBLISH_STOPPED and publishing:
            publishing = False
            first.append(entry)
        elif event.name is EventName.SUBSCRIBE_STOPPED and open_counts[event.remote_participant_id] > 0:
            open_counts[event.remote_participant_id] -= 1
            first.append(entry)
        else:
            others.append(entry)
    return first, others


def _media_order(rest: Sequence[tuple[Event, _Item]], before: Flowing) -> list[tuple[Event, _Item]]:
    """Return starts, stops, and all others.

    A token that allows less comes after the starts and before the stops that follow from it. A publication that goes
    on stops once before it starts again, and the same holds for the end of what starts and stops several times.
    """
    starts = [entry for entry in rest if entry[0].name is EventName.PUBLISH_STARTED]
    stops = [entry for entry in rest if entry[0].name is EventName.PUBLISH_STOPPED]
    publications = _alternate(stops, starts) if before.is_publishing else _alternate(starts, stops)
    watch_starts = [entry for entry in rest if entry[0].name is EventName.SUBSCRIBE_STARTED]
    watch_stops = [entry for entry in rest if entry[0].name is EventName.SUBSCRIBE_STOPPED]
    replication_starts = [entry for entry in rest if entry[0].name is EventName.REPLICATION_STARTED]
    replication_stops = [entry for entry in rest if entry[0].name is EventName.REPLICATION_STOPPED]
    known = _STARTS | _STOPS | {EventName.REPLICATION_STARTED, EventName.REPLICATION_STOPPED}
    others = [entry for entry in rest if entry[0].name not in known]
    # The replications start while the publication flows: before its last stop if it does not flow afterwards.
    last = [publications.pop()] if publications and publications[-1][0].name is EventName.PUBLISH_STOPPED else []
    return [*publications, *watch_starts, *replication_starts, *others, *watch_stops, *last, *replication_stops]
