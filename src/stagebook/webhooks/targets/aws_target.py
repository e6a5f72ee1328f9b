"""Delivery to AWS services with boto3: PutEvents of EventBridge, Publish of SNS, SendMessage of SQS.

The credentials are those of the operator, from boto3's default chain. boto3 blocks, so its calls run in threads of the
delivery process, a bounded number of them for each target. It is an optional dependency (`pip install stagebook[aws]`).
"""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from stagebook.webhooks.delivery_outcome import Delivered, Failed, Outcome
from stagebook.webhooks.destination import DeliveryFormat, Destination, DestinationKind
from stagebook.webhooks.event_envelope import OWN_SOURCE, EventEnvelope
from stagebook.webhooks.targets.target import OutgoingMessage

PUT_EVENTS_SIZE = 10
"""The maximum number of entries of PutEvents (EventBridge API reference)."""
FIFO_SUFFIX = ".fifo"


class MissingBoto3Error(Exception):
    """boto3 is not installed."""

    def __init__(self) -> None:
        super().__init__("a destination that is an AWS service needs boto3: run `pip install 'stagebook[aws]'`")


def make_client(destination: Destination, *, timeout_seconds: float, connections: int) -> Any:  # noqa: ANN401 - boto3's
    """Return a boto3 client for a destination. Raises MissingBoto3Error, and botocore's errors without a region."""
    try:
        import boto3
        from botocore.config import Config
    except ModuleNotFoundError:
        raise MissingBoto3Error from None
    service = {DestinationKind.EVENTBRIDGE: "events"}.get(destination.kind, destination.kind.value)
    # The schedule retries, so boto3 must not: its retries would hold a thread.
    config = Config(
        connect_timeout=timeout_seconds,
        read_timeout=timeout_seconds,
        retries={"total_max_attempts": 1},
        max_pool_connections=connections,
    )
    session: Any = boto3.session.Session()  # boto3-stubs accept only literal service names
    return session.client(
        service,
        region_name=destination.region or _region_of(destination.target),
        endpoint_url=destination.endpoint_url,
        config=config,
    )


class AwsTarget:
    """Implements `Target` for EventBridge, SNS and SQS."""

    def __init__(self, destination: Destination, client: Any, *, connections: int) -> None:  # noqa: ANN401 - boto3's
        """`connections` is the number of calls at a time."""
        self._destination = destination
        self._client = client
        self.batch_size = PUT_EVENTS_SIZE if destination.kind is DestinationKind.EVENTBRIDGE else 1
        self._threads = ThreadPoolExecutor(max_workers=connections, thread_name_prefix="webhook-aws")

    async def deliver(self, messages: Sequence[OutgoingMessage]) -> list[Outcome]:
        """Deliver messages with one call."""
        call = self._put_events if self._destination.kind is DestinationKind.EVENTBRIDGE else self._send
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call, messages)
        except Exception as error:  # noqa: BLE001 - boto3 documents no base class of what it raises
            return [_failure(error)] * len(messages)

    async def close(self) -> None:
        """Take no more calls. One that is in progress ends in its thread."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _put_events(self, messages: Sequence[OutgoingMessage]) -> list[Outcome]:
        entries = [self._entry(message) for message in messages]
        response = self._client.put_events(Entries=entries)
        # The results are in the order of the entries; each may fail for itself (API reference of PutEvents).
        return [_entry_outcome(result) for result in response["Entries"]]

    def _entry(self, message: OutgoingMessage) -> Mapping[str, Any]:
        envelope = msgspec.json.decode(message.body, type=EventEnvelope)
        # EventBridge gives each event an id of its own, so the id by which receivers find repetitions is a member of
        # the detail. It refuses sources that begin with `aws.`, which are those of AWS.
        detail = {**envelope.detail, "event_id": envelope.id}
        return {
            "Time": envelope.time,
            "Source": OWN_SOURCE,
            "Resources": list(envelope.resources),
            "DetailType": envelope.detail_type,
            "Detail": msgspec.json.encode(detail).decode(),
            "EventBusName": self._destination.target,
        }

    def _send(self, messages: Sequence[OutgoingMessage]) -> list[Outcome]:
        (message,) = messages
        destination = self._destination
        ordered = {"MessageGroupId": message.session_id, "MessageDeduplicationId": message.event_id}
        options: dict[str, Any] = ordered if destination.target.endswith(FIFO_SUFFIX) else {}
        body = message.body.decode()
        if destination.format is DeliveryFormat.CLOUDEVENTS:
            options["MessageAttributes"] = {"content-type": {"DataType": "String", "StringValue": message.content_type}}
        if destination.kind is DestinationKind.SNS:
            response = self._client.publish(TopicArn=destination.target, Message=body, **options)
        else:
            response = self._client.send_message(QueueUrl=destination.target, MessageBody=body, **options)
        return [Delivered(status=response["ResponseMetadata"]["HTTPStatusCode"])]


def _entry_outcome(result: Mapping[str, Any]) -> Outcome:
    if "ErrorCode" in result:
        return Failed(reason=f"{result['ErrorCode']}: {result.get('ErrorMessage', '')}")
    return Delivered(status=200)


def _failure(error: Exception) -> Failed:
    response: Any = getattr(error, "response", {})
    metadata = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
    return Failed(reason=f"{type(error).__name__}: {error}", status=metadata.get("HTTPStatusCode"))


def _region_of(target: str) -> str | None:
    """Return the region that an ARN names, or None."""
    parts = target.split(":")
    return parts[3] if target.startswith("arn:") and len(parts) > 3 else None
