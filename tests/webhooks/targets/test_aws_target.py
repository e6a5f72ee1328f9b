"""Delivery to AWS services: boto3 against the server of moto, over HTTP."""

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from stagebook.stage.events import EventName
from stagebook.webhooks.delivery_outcome import Delivered, Failed
from stagebook.webhooks.destination import DeliveryFormat, Destination, DestinationKind
from stagebook.webhooks.event_envelope import CONTENT_TYPES, message_body
from stagebook.webhooks.targets.aws_target import AwsTarget
from stagebook.webhooks.targets.new_target import new_target
from stagebook.webhooks.targets.target import OutgoingMessage
from tests.history.logged import STAGE_ARN, logged
from tests.webhooks.destinations import destination
from tests.webhooks.moto_services import REGION, client, make_queue, moto_server, receive


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's credentials, as boto3 finds them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def aws(kind: DestinationKind, target: str, endpoint: str, **members: Any) -> Destination:  # noqa: ANN401 - members
    made = destination(kind=kind, target=target, region=REGION, endpoint_url=endpoint, secrets=(), **members)
    made.check()
    return made


def message(
    name: EventName = EventName.PUBLISH_STARTED,
    *,
    number: int = 1,
    form: DeliveryFormat = DeliveryFormat.EVENTBRIDGE,
) -> OutgoingMessage:
    event = logged(name, sequence=(1_700_000_000_000 + number) << 20)
    return OutgoingMessage(
        event_id=event.event_id,
        session_id=event.session_id,
        body=message_body(event, form),
        content_type=CONTENT_TYPES[form],
        time_s=int(time.time()),
    )


async def deliver(made: Destination, *messages: OutgoingMessage) -> list[Any]:
    target = new_target(made, denied=(), timeout_seconds=20)
    assert isinstance(target, AwsTarget)
    outcomes = await target.deliver(messages)
    await target.close()
    return outcomes


async def test_an_sqs_queue_gets_the_envelope(endpoint: str) -> None:
    sqs, url, _ = make_queue(endpoint, "plain")
    sent = message()
    assert await deliver(aws(DestinationKind.SQS, url, endpoint), sent) == [Delivered(status=200)]
    (found,) = receive(sqs, url)
    assert found["Body"].encode() == sent.body


async def test_a_fifo_queue_keeps_the_order_of_a_session_and_drops_repetitions(endpoint: str) -> None:
    sqs, url, _ = make_queue(endpoint, "ordered.fifo")
    made = aws(DestinationKind.SQS, url, endpoint)
    for number in (1, 2, 2, 3):
        assert await deliver(made, message(number=number)) == [Delivered(status=200)]
    found = receive(sqs, url)
    assert [json.loads(each["Body"])["id"] for each in found] == [
        message(number=number).event_id for number in (1, 2, 3)
    ]
    assert {each["Attributes"]["MessageGroupId"] for each in found} == {logged().session_id}


async def test_an_sns_topic_gets_a_cloud_event(endpoint: str) -> None:
    sqs, url, queue_arn = make_queue(endpoint, "of-topic")
    sns = client("sns", endpoint)
    topic = sns.create_topic(Name="topic")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn, Attributes={"RawMessageDelivery": "true"})
    sent = message(form=DeliveryFormat.CLOUDEVENTS)
    made = aws(DestinationKind.SNS, topic, endpoint, format=DeliveryFormat.CLOUDEVENTS)
    assert await deliver(made, sent) == [Delivered(status=200)]
    (found,) = receive(sqs, url)
    assert json.loads(found["Body"])["specversion"] == "1.0"
    assert found["MessageAttributes"]["content-type"]["StringValue"] == "application/cloudevents+json"


async def test_a_rule_of_eventbridge_matches_what_aws_sends(endpoint: str) -> None:
    sqs, url, queue_arn = make_queue(endpoint, "of-rule")
    events = client("events", endpoint)
    events.create_event_bus(Name="bus")
    pattern = {"detail-type": ["IVS Stage Update"], "detail": {"event_name": ["Participant Published"]}}
    events.put_rule(Name="rule", EventBusName="bus", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="rule", EventBusName="bus", Targets=[{"Id": "1", "Arn": queue_arn}])
    batch = [message(number=1), message(EventName.JOINED, number=2), message(number=3)]
    assert await deliver(aws(DestinationKind.EVENTBRIDGE, "bus", endpoint), *batch) == [Delivered(status=200)] * 3
    found = [json.loads(each["Body"]) for each in receive(sqs, url)]
    assert sorted(each["detail"]["event_id"] for each in found) == [batch[0].event_id, batch[2].event_id]
    assert {each["source"] for each in found} == {"stagebook"}
    assert found[0]["resources"] == [STAGE_ARN]


async def test_one_entry_of_a_batch_fails_for_itself(endpoint: str) -> None:
    class Client:
        """Stands for a bus that refuses one entry, which moto has no way to do."""

        def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - boto3's name
            assert len(Entries) == 2
            return {
                "FailedEntryCount": 1,
                "Entries": [{"EventId": "1"}, {"ErrorCode": "Throttled", "ErrorMessage": "m"}],
            }

    target = AwsTarget(aws(DestinationKind.EVENTBRIDGE, "bus", endpoint), Client(), connections=1)
    outcomes = await target.deliver([message(number=1), message(number=2)])
    await target.close()
    assert outcomes == [Delivered(status=200), Failed(reason="Throttled: m")]


async def test_an_error_of_aws_is_a_failure_with_its_status(endpoint: str) -> None:
    made = aws(DestinationKind.SQS, f"{endpoint}/123456789012/missing", endpoint)
    (outcome,) = await deliver(made, message())
    assert isinstance(outcome, Failed)
    assert "NonExistentQueue" in outcome.reason
    assert outcome.status == 400


async def test_without_a_region_each_delivery_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    made = destination(kind=DestinationKind.SQS, target="https://queue.example/1", secrets=())
    target = new_target(made, denied=(), timeout_seconds=1)
    (outcome,) = await target.deliver([message()])
    assert isinstance(outcome, Failed)
    assert "region" in outcome.reason


async def test_without_boto3_each_delivery_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    made = destination(kind=DestinationKind.SQS, target="https://queue.example/1", secrets=())
    (outcome,) = await new_target(made, denied=(), timeout_seconds=1).deliver([message()])
    assert isinstance(outcome, Failed)
    assert "pip install 'stagebook[aws]'" in outcome.reason
