"""Which participants a layout shows, in which order, and who is in the featured slot and in the PiP window.

The order is that of the AWS documentation (user guide, Custom Participant Ordering): participants whose order attribute
is an integer come first, ascending; ties, and all others after them, in the order of arrival. The order also decides
who is featured if several participants have the attribute.
"""

import re
from collections.abc import Sequence

from stagebook.media.composition.layout.placement import ArrangedParticipant

_INTEGER = re.compile(r"[+-]?[0-9]{1,1000}", re.ASCII)
"""An integer. The length of an attribute is bounded by that of a token; the bound here keeps `int` from raising."""


def shown_in_order(
    participants: Sequence[ArrangedParticipant], *, order_attribute: str, omits_stopped_video: bool
) -> list[ArrangedParticipant]:
    """Return the participants to show, in the order of their tiles. An empty `order_attribute` is an unset one."""
    shown = [one for one in participants if not (omits_stopped_video and one.is_video_stopped)]
    if not order_attribute:
        return shown
    return sorted(shown, key=lambda one: _order_key(one.attributes.get(order_attribute, "")))


def take_marked(participants: list[ArrangedParticipant], attribute: str) -> list[ArrangedParticipant]:
    """Remove the first participant whose `attribute` is "true", and return a list of it, or an empty one.

    An empty `attribute` is an unset one.
    """
    for index, participant in enumerate(participants):
        if attribute and participant.attributes.get(attribute) == "true":
            return [participants.pop(index)]
    return []


def _order_key(value: str) -> tuple[bool, int]:
    return (False, int(value)) if _INTEGER.fullmatch(value) else (True, 0)
