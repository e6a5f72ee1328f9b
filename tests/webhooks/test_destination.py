"""The rules of destinations, and their filters."""

from typing import Any

import msgspec
import pytest

from stagebook.book.composition_log import LoggedCompositionEvent
from stagebook.stage.composition.composition_events import CompositionEvent, CompositionEventName
from stagebook.stage.errors import InvalidInputError
from stagebook.stage.events import Cause, ErrorCode, EventName
from stagebook.webhooks.destination import (
    DeliveryFilter,
    DeliveryFormat,
    DestinationKind,
    secret_key,
)
from tests.history.logged import ACCOUNT, SESSION, STAGE_ARN, logged
from tests.webhooks.destinations import destination

SNS = "arn:aws:sns:us-west-2:123456789012:topic"


@pytest.mark.parametrize(
    "members",
    [
        {"target": "http://localhost:9000/path?query=1"},
        {"target": "http://[::1]:9000/"},
        {"kind": DestinationKind.SQS, "target": "https://sqs.us-west-2.amazonaws.com/123456789012/q.fifo"},
        {"kind": DestinationKind.SNS, "target": SNS, "endpoint_url": "http://localhost:5000"},
        {"kind": DestinationKind.EVENTBRIDGE, "target": "default"},
        {"kind": DestinationKind.EVENTBRIDGE, "target": "arn:aws:events:us-west-2:123456789012:event-bus/my-bus"},
    ],
)
def test_valid_destinations(members: dict[str, Any]) -> None:
    destination(**members).check()


@pytest.mark.parametrize(
    ("members", "member"),
    [
        ({"target": "ftp://host/"}, "target"),
        ({"target": "https:///path"}, "target"),
        ({"target": "https://host:99999/"}, "target"),
        ({"target": "https://host:0/"}, "target"),
        ({"target": "https://[::1/"}, "target"),
        ({"target": "https://user:password@host/"}, "target"),
        ({"target": "https://@host/"}, "target"),
        ({"target": "https://host/#fragment"}, "target"),
        ({"target": "https://host/a b"}, "target"),
        ({"target": "https://host/\r\nx-header: 1"}, "target"),
        ({"target": "https://host/" + "a" * 2_048}, "target"),
        ({"region": "us-west-2"}, "region"),
        ({"endpoint_url": "http://localhost:5000"}, "endpointUrl"),
        ({"secrets": ("whsec_short",)}, "secret"),
        ({"kind": DestinationKind.SNS, "target": "topic"}, "target"),
        ({"kind": DestinationKind.SNS, "target": SNS, "endpoint_url": "localhost"}, "endpointUrl"),
        ({"kind": DestinationKind.SQS, "target": SNS}, "target"),
        ({"kind": DestinationKind.EVENTBRIDGE, "target": ""}, "target"),
        ({"kind": DestinationKind.EVENTBRIDGE, "target": "b", "format": DeliveryFormat.CLOUDEVENTS}, "format"),
        ({"filter": DeliveryFilter(error="NO_CODE")}, "filter.error"),
    ],
)
def test_invalid_destinations_name_the_member(members: dict[str, Any], member: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        destination(**members).check()
    assert raised.value.member == member


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_" + "A" * 28, "AAAA" * 10, "whsec_" + "A" * 120, "whsec_é"])
def test_a_secret_has_a_prefix_and_a_size(secret: str) -> None:
    with pytest.raises(InvalidInputError):
        secret_key(secret)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, True),
        ({"name": ["JOINED", "LEFT"]}, True),
        ({"name": ["LEFT"]}, False),
        ({"stage": STAGE_ARN, "session": SESSION, "participant": "p", "user": "ann"}, True),
        ({"session": "st-other"}, False),
        ({"error": "any"}, True),
        ({"error": "QUOTA_EXCEEDED"}, True),
        ({"error": "INVALID_INPUT"}, False),
        ({"cause": "limit"}, True),
    ],
)
def test_a_filter_matches(members: dict[str, Any], expected: bool) -> None:  # noqa: FBT001 - a parameter of the table
    event = logged(EventName.JOINED, error_code=ErrorCode.QUOTA_EXCEEDED, cause=Cause.LIMIT)
    assert msgspec.convert(members, DeliveryFilter).of_account(ACCOUNT).matches(event) is expected


def test_events_of_other_accounts_never_match() -> None:
    event = logged(identity={"account_id": "000000000000"})
    assert not DeliveryFilter().of_account(ACCOUNT).matches(event)


def test_the_previous_secret_signs_for_a_while() -> None:
    rotated = destination(secrets=("new", "old"), previous_secret_until_ms=100)
    assert rotated.signing_secrets(99) == ("new", "old")
    assert rotated.signing_secrets(100) == ("new",)


def test_the_representation_has_no_secret() -> None:
    assert "whsec" not in repr(destination())


def test_names_of_compositions_choose_their_events_alone() -> None:
    where = msgspec.convert({"name": ["COMPOSITION_FAILED"]}, DeliveryFilter).of_account(ACCOUNT)
    failed, ended = (
        LoggedCompositionEvent(
            account_id=ACCOUNT, stage_arn=STAGE_ARN, composition_arn="a", sequence=1, event=CompositionEvent(name=name)
        )
        for name in (CompositionEventName.COMPOSITION_FAILED, CompositionEventName.COMPOSITION_ENDED)
    )
    assert [where.matches(each) for each in (failed, ended, logged())] == [True, False, False]
    both = msgspec.convert({"name": ["COMPOSITION_FAILED", "JOINED"]}, DeliveryFilter).of_account(ACCOUNT)
    assert [both.matches(each) for each in (failed, ended, logged())] == [True, False, True]
