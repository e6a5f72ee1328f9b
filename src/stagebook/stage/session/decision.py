"""The context and the result of a decision about a session."""

from collections.abc import Collection
from typing import TypeAlias

import msgspec

from stagebook.stage.clock import Instant
from stagebook.stage.errors import StagebookError
from stagebook.stage.limits import Limits
from stagebook.stage.resources import ParticipantRecord
from stagebook.stage.session.orders import Order, ParticipantEvent
from stagebook.stage.session.session_state import Session

Refusal: TypeAlias = StagebookError | None
"""What a rule returns: the error that refuses the request, or None."""


class Context(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a decision depends on in addition to the session and the fact.

    `at` is the time of the decision: all of its events have this time. `linger_ms` is how long the session stays open
    after the last participant has left. The two counters are totals of the account's running sessions, the session
    itself included.
    """

    at: Instant
    limits: Limits
    linger_ms: int
    account_publishers: int = 0
    account_subscribers: int = 0


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `decide`: the next session, the events in causal order, the orders, and the refusal if any.

    A refused attempt can have an event; then the decision has both a refusal and a changed session. `changed_ids` are
    the ids of all participants that the decision has changed. `departed` are the rows of participants that the next
    session does not contain any longer.
    """

    session: Session
    changed_ids: Collection[str] = ()
    departed: tuple[ParticipantRecord, ...] = ()
    events: tuple[ParticipantEvent, ...] = ()
    orders: tuple[Order, ...] = ()
    refusal: Refusal = None
