"""Makes the target of a destination."""

from collections.abc import Sequence

from stagebook.webhooks.delivery_outcome import Failed, Outcome
from stagebook.webhooks.destination import Destination, DestinationKind
from stagebook.webhooks.targets.aws_target import PUT_EVENTS_SIZE, AwsTarget, MissingBoto3Error, make_client
from stagebook.webhooks.targets.http_target import HttpTarget
from stagebook.webhooks.targets.target import OutgoingMessage, Target
from stagebook.webhooks.targets.target_addresses import Network

CONNECTIONS = 8
"""The calls of one destination at a time, and the connections that are kept open to it."""
CALLS_PER_RUN = dict.fromkeys(DestinationKind, CONNECTIONS) | {
    DestinationKind.EVENTBRIDGE: 2 * PUT_EVENTS_SIZE,
}
"""The messages of one run that are delivered at a time."""


def new_target(destination: Destination, *, denied: Sequence[Network], timeout_seconds: float) -> Target:
    """Return the target of a destination. One that cannot be made fails each delivery with the reason."""
    if destination.kind is DestinationKind.HTTP:
        return HttpTarget(destination, denied=denied, timeout_seconds=timeout_seconds, connections=CONNECTIONS)
    try:
        client = make_client(destination, timeout_seconds=timeout_seconds, connections=CONNECTIONS)
    except MissingBoto3Error as error:
        return UnusableTarget(str(error))
    except Exception as error:  # noqa: BLE001 - boto3 documents no base class of what it raises
        return UnusableTarget(f"{type(error).__name__}: {error}")
    return AwsTarget(destination, client, connections=CONNECTIONS)


class UnusableTarget:
    """A target that cannot be made, for example without boto3."""

    batch_size = 1

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def deliver(self, messages: Sequence[OutgoingMessage]) -> list[Outcome]:
        """Fail."""
        return [Failed(reason=self._reason) for _ in messages]

    async def close(self) -> None:
        """Do nothing."""
