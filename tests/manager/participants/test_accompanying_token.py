"""Which connection token counts for a media request without one. The revocation of tokens has further tests."""

import pytest
from msgspec.structs import replace

from stagebook.manager.participants.accompanying_token import accompanied
from tests.manager.manager_harness import CLIENT, ManagerHarness, Watcher


@pytest.mark.parametrize("token_id", [None, "one"])
async def test_the_connection_token_of_the_participant_s_websocket_counts(
    harness: ManagerHarness, token_id: str | None
) -> None:
    claims = harness.claims(await harness.stage(), "A")
    joining = replace(claims, connection_token_id=token_id)
    await harness.manager.participants.open_events(joining, watcher=Watcher(), client=CLIENT)
    assert accompanied(harness.manager._unit.registry, claims).connection_token_id == token_id


async def test_a_request_with_a_connection_token_keeps_it(harness: ManagerHarness) -> None:
    claims = harness.claims(await harness.stage(), "A")
    joining = replace(claims, connection_token_id="one")
    await harness.manager.participants.open_events(joining, watcher=Watcher(), client=CLIENT)
    asking = replace(claims, connection_token_id="two")
    assert accompanied(harness.manager._unit.registry, asking) is asking


async def test_a_participant_that_is_not_on_the_stage_has_none(harness: ManagerHarness) -> None:
    claims = harness.claims(await harness.stage(), "A")
    assert accompanied(harness.manager._unit.registry, claims) is claims
