"""Every bound on what a stranger can send through this door, and the meters that hold the rates."""

from collections import OrderedDict
from collections.abc import Callable

import msgspec

from stagebook.api.participants.problem_responses import RETRY_SOON, RequestRefusedError
from stagebook.stage.claims import Claims


class RequestLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes, rates and durations. The defaults leave room for browsers' longest offers and for busy stages."""

    offer_size_bytes: int = 64 * 1024
    fragment_size_bytes: int = 16 * 1024
    body_timeout_seconds: float = 10.0
    attempts_burst: int = 300
    """One participant may open this many connections at once: a viewer of a full stage opens one per publisher."""
    attempts_per_second: float = 5.0
    metered_participants: int = 50_000
    events_connections_per_participant: int = 16
    events_message_size_bytes: int = 16 * 1024
    """Room for an EXCHANGE_TOKEN with the largest token there can be."""
    events_messages_burst: int = 60
    events_messages_per_second: float = 5.0
    events_ping_seconds: float = 30.0
    """How long the events websocket may be quiet before the server sends a PING message."""
    events_send_timeout_seconds: float = 15.0
    """How long a client may leave a message unread before it counts as gone."""


class Meter:
    """A token bucket: `burst` at once, `per_second` in the long run. Time is passed in."""

    __slots__ = ("_burst", "_left", "_monotonic", "_per_second", "_seen_seconds")

    def __init__(self, *, burst: int, per_second: float, monotonic: Callable[[], float]) -> None:
        self._burst = float(burst)
        self._per_second = per_second
        self._monotonic = monotonic
        self._left = self._burst
        self._seen_seconds = monotonic()

    def take(self) -> bool:
        """Use one unit and return True, or return False when none is left."""
        now_seconds = self._monotonic()
        self._left = min(self._burst, self._left + (now_seconds - self._seen_seconds) * self._per_second)
        self._seen_seconds = now_seconds
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class AttemptMeters:
    """One meter for each participant, for at most `metered_participants` of them: the longest unused is forgotten.

    Every refused attempt is one event in the book for ever, so a token must not be able to write them without bound.
    """

    def __init__(self, *, limits: RequestLimits, monotonic: Callable[[], float]) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._meters: OrderedDict[tuple[str, str], Meter] = OrderedDict()

    def require(self, claims: Claims) -> None:
        """Count one attempt of this participant; raise RequestRefusedError 429 when it is above the rate."""
        key = (claims.stage_arn, claims.participant_id)
        meter = self._meters.get(key)
        if meter is None:
            meter = self._meters[key] = Meter(
                burst=self._limits.attempts_burst,
                per_second=self._limits.attempts_per_second,
                monotonic=self._monotonic,
            )
            if len(self._meters) > self._limits.metered_participants:
                self._meters.popitem(last=False)
        else:
            self._meters.move_to_end(key)
        if not meter.take():
            raise too_many("too many attempts with this token")


def too_many(message: str) -> RequestRefusedError:
    """Return how to refuse what is above a rate or a count."""
    return RequestRefusedError(status=429, code="TOO_MANY_REQUESTS", message=message, headers=(RETRY_SOON,))
