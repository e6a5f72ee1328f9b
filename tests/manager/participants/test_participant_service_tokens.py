"""The service of participants and their tokens: one token for each jti on a stage, and its exceptions."""

import pytest
from msgspec.structs import replace

from stagebook.stage.claims import Claims
from stagebook.stage.errors import TokenRefusal, TokenRefusedError
from stagebook.stage.events import Cause
from stagebook.stage.resources import Capability
from tests.manager.manager_harness import CLIENT, ManagerHarness, Watcher
from tests.manager.own_tokens import OwnTokens, own_tokens

BOTH = (Capability.PUBLISH, Capability.SUBSCRIBE)


@pytest.fixture
async def own(harness: ManagerHarness) -> OwnTokens:
    return await own_tokens(harness)


async def join(harness: ManagerHarness, claims: Claims) -> str:
    return await harness.manager.participants.open_events(claims, watcher=Watcher(), client=CLIENT)


async def refused_everywhere(harness: ManagerHarness, claims: Claims) -> None:
    for attempt in (join(harness, claims), harness.publish(claims), harness.subscribe(claims, "P")):
        with pytest.raises(TokenRefusedError) as caught:
            await attempt
        assert caught.value.refusal is TokenRefusal.JTI_IN_USE


async def test_a_second_token_with_the_jti_of_one_on_the_stage_is_refused(
    harness: ManagerHarness, own: OwnTokens
) -> None:
    await join(harness, own.claims("A", *BOTH))
    await refused_everywhere(harness, own.claims("A", *BOTH, user_id="somebody else"))
    await refused_everywhere(harness, own.claims("A", *BOTH, expires_at_seconds=1_700_000_001))
    assert await harness.events(own.stage, "A") == ["JOINED"]


async def test_tokens_with_equal_claims_count_as_one(harness: ManagerHarness, own: OwnTokens) -> None:
    await join(harness, own.claims("A", *BOTH))
    await harness.publish(own.claims("A", *BOTH))
    assert await harness.events(own.stage, "A") == ["JOINED", "PUBLISH_STARTED"]


async def test_the_jti_of_a_minted_token_is_in_use_while_its_participant_is_present(
    harness: ManagerHarness, own: OwnTokens
) -> None:
    minted = harness.claims(own.stage, "M")
    connection_id = await join(harness, minted)
    await refused_everywhere(harness, own.claims("M", *BOTH))
    await harness.manager.participants.close_events(connection_id=connection_id, cause=Cause.CLIENT)
    await join(harness, own.claims("M", *BOTH))
    await refused_everywhere(harness, minted)
    assert await harness.events(own.stage, "M") == ["JOINED", "LEFT", "JOINED"]


async def test_a_participant_that_returns_with_another_token_has_its_claims(
    harness: ManagerHarness, own: OwnTokens
) -> None:
    connection_id = await join(harness, own.claims("A", user_id="ada"))
    await harness.manager.participants.close_events(connection_id=connection_id, cause=Cause.CLIENT)
    await harness.settled()
    await join(harness, own.claims("A", user_id="grace"))
    record = harness.book.get_participant(own.stage.arn, harness.session_id(own.stage), "A")
    assert record is not None
    assert (record.user_id, record.attributes) == ("grace", {"role": "grace"})


async def test_the_same_jti_on_another_stage_is_another_participant(harness: ManagerHarness, own: OwnTokens) -> None:
    elsewhere = await harness.stage("elsewhere")
    await join(harness, own.claims("A"))
    await join(harness, own.claims("A", user_id="grace", stage_arn=elsewhere.arn))
    assert await harness.events(elsewhere, "A") == ["JOINED"]


async def test_a_deleted_key_refuses_new_attempts_and_ends_no_connection(
    harness: ManagerHarness, own: OwnTokens
) -> None:
    claims = own.claims("A", *BOTH)
    token = own.token(claims)
    await join(harness, harness.admit(token))
    await harness.manager.public_keys.delete(arn=own.key.arn)
    with pytest.raises(TokenRefusedError) as caught:
        harness.admit(token)
    assert caught.value.refusal is TokenRefusal.SIGNATURE
    with pytest.raises(TokenRefusedError):
        await harness.publish(claims)
    assert await harness.events(own.stage, "A") == ["JOINED"]


async def test_the_connection_token_is_no_part_of_the_participant_token(
    harness: ManagerHarness, own: OwnTokens
) -> None:
    claims = own.claims("A", *BOTH)
    await join(harness, replace(claims, connection_token_id="one"))
    await harness.publish(replace(claims, connection_token_id="two"))
    await harness.publish(claims)
    assert await harness.events(own.stage, "A") == ["JOINED", "PUBLISH_STARTED"]
