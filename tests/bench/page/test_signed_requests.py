"""Captured signed requests."""

import boto3
from botocore.config import Config

from bench.page.books import BusyParticipant
from bench.page.signed_requests import sign_pages

PARTICIPANT = BusyParticipant(
    stage_arn="arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh",
    session_id="st-a1b2c3d4e5f6g",
    participant_id="abCDEf12GHIj",
)


def test_each_page_is_one_signed_request_that_is_not_sent() -> None:
    client = boto3.client(
        "ivs-realtime",
        endpoint_url="http://127.0.0.1:1",
        region_name="us-west-2",
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        config=Config(retries={"total_max_attempts": 1}),
    )
    first, deep = sign_pages(client, [(PARTICIPANT, None), (PARTICIPANT, "token")])
    for request in (first, deep):
        head, _, body = request.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /ListParticipantEvents HTTP/1.1\r\nHost: 127.0.0.1:1\r\n")
        assert b"Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/" in head
        assert head.endswith(b"Content-Length: %d" % len(body))
    assert b"nextToken" not in first
    assert b'"nextToken": "token"' in deep
