"""The server of moto, and its queues, topics and buses over HTTP with boto3."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import httpx
from moto.server import ThreadedMotoServer

REGION = "us-west-2"


@contextmanager
def moto_server() -> Iterator[str]:
    """Run the server; yield its endpoint URL."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    # Its state belongs to this process, not to the server.
    httpx.post(f"{endpoint}/moto-api/reset").raise_for_status()
    try:
        yield endpoint
    finally:
        server.stop()


def client(service: str, endpoint: str) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
    """Return a boto3 client of the server."""
    make: Any = boto3.session.Session().client
    return make(service, region_name=REGION, endpoint_url=endpoint)


def make_queue(endpoint: str, name: str) -> tuple[Any, str, str]:
    """Return a client of SQS, and the URL and the ARN of a new queue."""
    sqs = client("sqs", endpoint)
    attributes = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return sqs, url, arn


def receive(sqs: Any, url: str) -> list[dict[str, Any]]:  # noqa: ANN401 - a boto3 client
    """Receive up to ten messages of a queue."""
    messages: list[dict[str, Any]] = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
    ).get("Messages", [])
    return messages
