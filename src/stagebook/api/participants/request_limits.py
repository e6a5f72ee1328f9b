"""The limits on what a client may send to this API, and the rate limiters that enforce the rates."""

from collections.abc import Callable

import msgspec

from stagebook.api.access.token_bucket import TokenBuckets
from stagebook.api.participants.problem_responses import RETRY_SOON, RequestRefusalCode, RequestRefusedError
from stagebook.stage.claims import Claims


class RequestLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes, rates and durations.

    The defaults are several times what browsers' longest offers and busy stages need.
    """

    offer_size_bytes: int = 64 * 1024
    fragment_size_bytes: int = 16 * 1024
    layer_choice_size_bytes: int = 4 * 1024
    body_timeout_seconds: float = 10.0
    attempts_burst: int = 300
    """Attempts that one participant may make at once. A viewer of a full stage opens a connection per publisher."""
    attempts_per_second: float = 5.0
    layer_requests_burst: int = 600
    """Requests about layers that one participant may make at once. The Web Broadcast SDK asks for the layers of each
    publisher every few seconds."""
    layer_requests_per_second: float = 60.0
    tracked_participants: int = 50_000
    """Participants whose attempts are counted at the same time."""
    offers_waiting: int = 100
    """Offers of one participant that wait while two are in progress. A viewer of a full stage needs 99."""
    offer_wait_seconds: float = 5.0
    invalid_tokens_burst: int = 50
    """Invalid tokens that one address may send at once. Each takes 0.9 ms of the event loop."""
    invalid_tokens_per_second: float = 5.0
    tracked_addresses: int = 10_000
    """Addresses whose invalid tokens are counted at the same time."""
    events_connections_per_participant: int = 16
    events_message_size_bytes: int = 16 * 1024
    """The largest message of a client is EXCHANGE_TOKEN with a token of maximum size."""
    events_messages_burst: int = 60
    events_messages_per_second: float = 5.0
    shared_stages: int = 16
    """Stages on one websocket that several stages share."""
    shared_messages_burst: int = 240
    shared_messages_per_second: float = 15.0
    """A websocket with several stages has an offer for each publisher, beside what events websockets have."""
    shared_offers_in_progress: int = 64
    shared_answers_waiting: int = 64
    """Answers that may wait for a client before the server takes no further message from it."""
    shared_idle_seconds: float = 900.0
    """Time for which such a websocket may have no stage."""
    events_ping_seconds: float = 30.0
    """Time without a message from the server after which it sends a PING message."""
    events_send_timeout_seconds: float = 15.0
    """Time that sending one message may take. A client that does not read for longer counts as lost."""
    events_bytes_per_second: float = 16_384.0
    """A stage state may take the time above and the time for its size at this rate."""


class AttemptRateLimiter:
    """Limits the rate of each participant's attempts to open a connection or exchange a token, or of other requests.

    A refused attempt writes a durable event, so without a limit one token could fill the book. Each participant has a
    token bucket. At most `tracked_participants` buckets are kept; the least recently used one is dropped.
    """

    def __init__(
        self,
        *,
        limits: RequestLimits,
        monotonic: Callable[[], float],
        burst: int | None = None,
        per_second: float | None = None,
    ) -> None:
        """`burst` and `per_second` replace those of attempts, for another kind of request."""
        self._buckets = TokenBuckets(
            burst=limits.attempts_burst if burst is None else burst,
            per_second=limits.attempts_per_second if per_second is None else per_second,
            monotonic=monotonic,
            maximum=limits.tracked_participants,
        )

    def require(self, claims: Claims) -> None:
        """Count one attempt of this participant; raise RequestRefusedError 429 when it is above the rate."""
        if not self._buckets.take((claims.stage_arn, claims.participant_id)):
            raise too_many_requests("too many attempts with this token")


def too_many_requests(message: str) -> RequestRefusedError:
    """Return the refusal of a request that is above a rate or a number."""
    return RequestRefusedError(
        status=429, code=RequestRefusalCode.TOO_MANY_REQUESTS, message=message, headers=(RETRY_SOON,)
    )
