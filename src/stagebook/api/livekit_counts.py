"""What a server has received from LiveKit, the media engine or the one whose history is recorded, for its metrics."""

import msgspec


class LiveKitCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start.

    A poll of the media engine is a call about one connection, a poll of a history reads all rooms.
    """

    accepted_webhooks: int
    repeated_webhooks: int
    refused_webhooks: int
    answered_polls: int
    failed_polls: int
    answer_age_seconds: float | None
    """The time since the last poll that was answered; None before the first one."""
    is_reachable: bool | None = None
    """Whether LiveKit answers without errors; None before the first ping."""
