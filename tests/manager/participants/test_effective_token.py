"""Unique jti: one token for each participant on a stage, unless it is exchanged."""

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


async def come(harness: ManagerHarness, claims: Claims) -> str:
    return await harness.manager.participants.open_events(claims, watcher=Watcher(), client=CLIENT)


async def refused_everywhere(harness: ManagerHarness, claims: Claims) -> None:
    for attempt in (come(harness, claims), harness.publish(claims), harness.subscribe(claims, "P")):
        with pytest.raises(TokenRefusedError) as caught:
            await attempt
        assert caught.value.refusal is TokenRefusal.JTI_IN_USE


async def test_a_second_token_with_the_jti_of_one_on_the_stage_is_refused(
    harness: ManagerHarness, own: OwnTokens
) -> None:
    await come(harness, own.claims("A", *BOTH))
    await refused_everywhere(harness, own.claims("A", *BOTH, user_id="somebody else"))
    await refused_everywhere(harness, own.claims("A", *BOTH, expires_at_seconds=1_700_000_001))
    assert await harness.events(own.stage, "A") == ["JOINED"]


async def test_tokens_that_say_the_same_are_one(harness: ManagerHarness, own: OwnTokens) -> None:
    await come(harness, own.claims("A", *BOTH))
    await harness.publish(own.claims("A", *BOTH))
    assert await harness.events(own.stage, "A") == ["JOINED", "PUBLISH_STARTED"]


async def test_a_jti_that_the_server_gave_out_is_in_use_while_its_participant_is_there(
    harness: ManagerHarness, own: OwnTokens
) -> None:
    minted = harness.claims(own.stage, "M")
    connection_id = await come(harness, minted)
    await refused_everywhere(harness, own.claims("M", *BOTH))
    await harness.manager.participants.close_events(connection_id=connection_id, cause=Cause.CLIENT)
    await come(harness, own.claims("M", *BOTH))
    await refused_everywhere(harness, minted)
    assert await harness.events(own.stage, "M") == ["JOINED", "LEFT", "JOINED"]


async def test_who_comes_back_with_another_token_goes_on_as_that_says(harness: ManagerHarness, own: OwnTokens) -> None:
    connection_id = await come(harness, own.claims("A", user_id="ada"))
    await harness.manager.participants.close_events(connection_id=connection_id, cause=Cause.CLIENT)
    await harness.settled()
    await come(harness, own.claims("A", user_id="grace"))
    record = harness.book.get_participant(own.stage.arn, harness.session_id(own.stage), "A")
    assert record is not None
    assert (record.user_id, record.attributes) == ("grace", {"role": "grace"})


async def test_the_same_jti_on_another_stage_is_another_participant(harness: ManagerHarness, own: OwnTokens) -> None:
    elsewhere = await harness.stage("elsewhere")
    await come(harness, own.claims("A"))
    await come(harness, own.claims("A", user_id="grace", stage_arn=elsewhere.arn))
    assert await harness.events(elsewhere, "A") == ["JOINED"]


async def test_a_deleted_key_admits_nobody_and_ends_nothing(harness: ManagerHarness, own: OwnTokens) -> None:
    claims = own.claims("A", *BOTH)
    token = own.token(claims)
    await come(harness, harness.admit(token))
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
    await come(harness, replace(claims, connection_token_id="one"))
    await harness.publish(replace(claims, connection_token_id="two"))
    await harness.publish(claims)
    assert await harness.events(own.stage, "A") == ["JOINED", "PUBLISH_STARTED"]
