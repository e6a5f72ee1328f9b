"""The messages of the Web Broadcast SDK's dialect."""

import json

import pytest

from stagebook.api.participants.dialects.sdk_dialect import SdkDialect
from stagebook.manager.presence.watchers import FarewellReason

DIALECT = SdkDialect()


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (FarewellReason.DISCONNECTED, "PARTICIPANT_DISCONNECTED"),
        (FarewellReason.STAGE_DELETED, "STAGE_DELETED"),
        (FarewellReason.CONNECTION_TOKEN_REVOKED, "CONNECTION_TOKEN_REVOKED"),
    ],
)
@pytest.mark.parametrize("detail", ["", 'too "loud"'])
def test_a_farewell_is_a_disconnect_message_with_a_code_and_a_text(
    reason: FarewellReason, code: str, detail: str
) -> None:
    message = json.loads(DIALECT.farewell(reason, detail) or "")
    assert message["type"] == "aws:ivs:DISCONNECT"
    assert message["payload"]["code"] == code
    assert message["payload"]["reason"]
    assert not detail or message["payload"]["reason"] == detail


def test_a_shutdown_has_no_disconnect_message_so_that_the_sdk_comes_back() -> None:
    assert DIALECT.farewell(FarewellReason.SHUTDOWN, "") is None


def test_each_other_reason_of_a_farewell_has_a_message() -> None:
    for reason in set(FarewellReason) - {FarewellReason.SHUTDOWN}:
        assert DIALECT.farewell(reason, "") is not None
