"""The query parameters of events: what they mean, and what is refused."""

import pytest

from stagebook.api.routes.api_input import read_query
from stagebook.api.routes.api_problems import ApiRefusedError
from stagebook.api.watch.event_parameters import EventParameters, event_filter
from stagebook.history.event_query import EventFilter
from stagebook.stage.composition.composition_events import CompositionCause, CompositionErrorCode, CompositionEventName
from stagebook.stage.events import Cause, ErrorCode, EventName
from tests.history.logged import ACCOUNT, STAGE_ARN


def filter_of(query: str) -> EventFilter:
    return event_filter(read_query(EventParameters, query.encode()), account_id=ACCOUNT, region="us-west-2")


def test_without_parameters_every_event_of_the_account_matches() -> None:
    assert filter_of("") == EventFilter(account_id=ACCOUNT)


def test_each_parameter_is_a_member_of_the_filter() -> None:
    query = (
        "stage=arn%3Aa&session=st-1&participant=p&user=ann&name=JOINED&name=LEFT&error=QUOTA_EXCEEDED&cause=limit"
        "&since=2023-11-14T22:13:20.123Z"
    )
    assert filter_of(query) == EventFilter(
        account_id=ACCOUNT,
        stage_arn="arn:a",
        session_id="st-1",
        participant_id="p",
        user_id="ann",
        names=frozenset({EventName.JOINED, EventName.LEFT}),
        error_code=ErrorCode.QUOTA_EXCEEDED,
        cause=Cause.LIMIT,
        since_ms=1_700_000_000_123,
    )


def test_a_stage_may_be_named_by_its_id() -> None:
    assert filter_of("stage=abcdABCDefgh").stage_arn == STAGE_ARN


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_error_code_is_accepted(code: ErrorCode) -> None:
    assert filter_of(f"error={code.value}").error_code is code


def test_any_error() -> None:
    assert filter_of("error=any") == EventFilter(account_id=ACCOUNT, any_error=True)


@pytest.mark.parametrize("composition", ["abcdABCDefgh", f"arn:aws:ivs:us-west-2:{ACCOUNT}:composition/abcdABCDefgh"])
def test_the_event_log_has_parameters_of_compositions(composition: str) -> None:
    query = f"composition={composition}&name=COMPOSITION_FAILED&name=LEFT&error=StageDeleted&cause=stage_deleted"
    parameters = read_query(EventParameters, query.encode())
    assert event_filter(parameters, account_id=ACCOUNT, region="us-west-2") == EventFilter(
        account_id=ACCOUNT,
        composition_arn=f"arn:aws:ivs:us-west-2:{ACCOUNT}:composition/abcdABCDefgh",
        names=frozenset({EventName.LEFT}),
        composition_names=frozenset({CompositionEventName.COMPOSITION_FAILED}),
        composition_error_code=CompositionErrorCode.STAGE_DELETED,
        cause=Cause.STAGE_DELETED,
        composition_cause=CompositionCause.STAGE_DELETED,
    )


@pytest.mark.parametrize(
    "query", ["name=COMPOSED", "error=StageDeletedX", "error=any%0A", "cause=chance", "composition="]
)
def test_the_event_log_has_no_other_values(query: str) -> None:
    with pytest.raises(ApiRefusedError, match=f"^{query.partition('=')[0]}"):
        read_query(EventParameters, query.encode())


@pytest.mark.parametrize("since", ["1700000000.123", "1700000000.1239", "2023-11-14T23:13:20.123%2B01:00"])
def test_a_time_has_several_forms(since: str) -> None:
    assert filter_of(f"since={since}").since_ms == 1_700_000_000_123


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("name=JOIN", "name[0]: Expected one of JOINED, LEFT,"),
        ("&".join(["name=LEFT"] * 24), "name: Expected `array` of length <= 23"),
        ("error=ANY", "error: Expected one of any, INSUFFICIENT_CAPABILITIES,"),
        ("error=any%0A", "error: Expected one of any,"),
        ("cause=chance", "cause: Expected one of client, peer_lost,"),
        ("since=yesterday", "since: Invalid RFC3339 encoded datetime"),
        ("since=2023-11-14T22:13:20", "since: Expected `datetime` with a timezone component"),
        ("user=", "user: Expected `str` of length >= 1"),
        ("stage=" + "x" * 2_049, "stage: Expected `str` of length <= 2048"),
        ("stages=x", "Object contains unknown field `stages`"),
    ],
)
def test_a_wrong_parameter_is_named(query: str, detail: str) -> None:
    with pytest.raises(ApiRefusedError) as refused:
        filter_of(query)
    assert str(refused.value).startswith(detail)
