"""Encoders that are turned away: each refusal, what the encoder is told, and what the book keeps."""

import pytest
from msgspec.structs import replace

from stagebook.book.changes import PutResource
from stagebook.manager.participants import join_pipeline
from stagebook.manager.participants.refusal_rate_limit import (
    MINUTE_MS,
    RECORDED_PER_MINUTE,
    TIDY_ABOVE,
    RefusalRateLimit,
)
from stagebook.media.port import RefusalReason
from stagebook.stage.errors import TokenRefusal, TokenRefusedError
from stagebook.stage.events import Cause, ErrorCode
from stagebook.stage.limits import RELAXED
from stagebook.stage.resources import (
    Capability,
    IngestConfiguration,
    ParticipantProtocol,
    ParticipantState,
    Stage,
)
from tests.manager.house import CLIENT, ManagerHarness, Watcher
from tests.manager.own_tokens import own_tokens

PUBLISHED = ["JOINED", "PUBLISH_STARTED"]


def wrong_secret(configuration: IngestConfiguration) -> str:
    key = configuration.stream_key
    return key[:-1] + ("A" if key[-1] != "A" else "B")


def sessions(house: ManagerHarness, stage: Stage) -> int:
    return len(house.book.list_sessions(stage.arn, after=None, limit=10).items)


async def nothing_is_recorded(house: ManagerHarness, stage: Stage) -> None:
    await house.settled()
    assert sessions(house, stage) == 0


@pytest.mark.parametrize("known", ["", "live", "rt_1_x", "another id", "another account", "another region"])
async def test_a_key_that_names_no_configuration_is_counted_and_nobodys_event(
    house: ManagerHarness, known: str
) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    resource_id = configuration.arn.rpartition("/")[2]
    key = {
        "another id": configuration.stream_key.replace(resource_id, "AbCdEfGh1234"),
        "another account": configuration.stream_key.replace("rt_123456789012", "rt_210987654321"),
        "another region": configuration.stream_key.replace("us-west-2", "eu-west-1"),
    }.get(known, known)

    told = await house.turned_away(key)

    assert told.startswith("INVALID_STREAM_KEY: ")
    assert house.manager.unknown_stream_keys == 1
    await nothing_is_recorded(house, stage)


@pytest.mark.parametrize("why", ["never attached", "taken off", "stage deleted", "configuration deleted"])
async def test_the_key_of_a_configuration_without_a_stage_is_unknown_too(house: ManagerHarness, why: str) -> None:
    stage = await house.stage()
    configuration = await house.configuration(None if why == "never attached" else stage)
    match why:
        case "taken off":
            await house.manager.ingest_configurations.update(arn=configuration.arn, stage_arn="", redundant_ingest=None)
        case "stage deleted":
            await house.manager.delete_stage(stage_arn=stage.arn)
        case "configuration deleted":
            await house.manager.ingest_configurations.delete(arn=configuration.arn, force=False)

    unknown = await house.turned_away("no key at all")
    assert await house.turned_away(configuration.stream_key) == unknown
    assert await house.turned_away(wrong_secret(configuration)) == unknown

    assert house.manager.unknown_stream_keys == 3
    await nothing_is_recorded(house, stage)


async def test_a_stage_on_its_way_out_takes_nobody(house: ManagerHarness) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    deletion = house.manager.delete_stage(stage_arn=stage.arn)
    ask_id = house.engine.ask(configuration.stream_key)
    await deletion
    await house.settled()
    assert house.engine.refused[ask_id].startswith("INVALID_STREAM_KEY: ")


async def test_only_a_key_that_is_nobodys_is_a_guess(house: ManagerHarness) -> None:
    configuration = await house.configuration(None)
    await house.turned_away(configuration.stream_key)
    assert house.engine.wrong_keys == set()
    for key in ("no key at all", wrong_secret(configuration)):
        house.engine.wrong_keys.clear()
        await house.turned_away(key)
        assert len(house.engine.wrong_keys) == 1


async def test_a_wrong_secret_is_an_error_of_the_configurations_participant(house: ManagerHarness) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)

    told = await house.turned_away(wrong_secret(configuration))

    assert told == "INVALID_STREAM_KEY: the secret of the stream key is not the ingest configuration's"
    assert await house.events(stage, configuration.participant_id) == ["PUBLISH_ERROR:INVALID_STREAM_KEY"]
    assert house.manager.unknown_stream_keys == 0


async def test_a_refused_encoder_has_a_row_and_never_joined(house: ManagerHarness) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    await house.turned_away(wrong_secret(configuration))
    record = house.book.get_participant(stage.arn, house.session_id(stage), configuration.participant_id)
    assert record is not None
    assert (record.state, record.first_join_ms) == (ParticipantState.DISCONNECTED, None)
    assert (record.published, record.protocol) == (False, ParticipantProtocol.UNKNOWN)
    assert record.ingest_configuration_arn == configuration.arn


async def test_rtmp_is_refused_where_rtmps_is_required(house: ManagerHarness) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    told = await house.turned_away(configuration.stream_key, is_secure=False)
    assert told.startswith("INVALID_PROTOCOL: ")
    assert await house.events(stage, configuration.participant_id) == ["PUBLISH_ERROR:INVALID_PROTOCOL"]


async def test_rtmps_is_welcome_where_rtmp_is_allowed(house: ManagerHarness) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage, insecure=True)
    await house.encode(configuration.stream_key, is_secure=True)
    assert await house.events(stage, configuration.participant_id) == PUBLISHED


async def test_who_does_not_know_the_secret_does_not_learn_the_protocol(house: ManagerHarness) -> None:
    configuration = await house.configuration(await house.stage())
    told = await house.turned_away(wrong_secret(configuration), is_secure=False)
    assert told.startswith("INVALID_STREAM_KEY: ")


@pytest.mark.parametrize("flows", [True, False], ids=["flowing", "opening"])
async def test_a_key_in_use_is_refused_and_the_first_encoder_goes_on(house: ManagerHarness, *, flows: bool) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    first = await house.encode(configuration.stream_key, connect=flows)

    told = await house.turned_away(configuration.stream_key)

    assert told.startswith("REUSE_OF_STREAM_KEY: ")
    before = PUBLISHED if flows else ["JOINED"]
    assert await house.events(stage, configuration.participant_id) == [*before, "PUBLISH_ERROR:REUSE_OF_STREAM_KEY"]
    assert house.engine.closed == house.engine.ended_sources == []
    house.engine.lose(first)
    assert (await house.events(stage, configuration.participant_id))[-1] == "LEFT"


async def test_of_two_encoders_at_once_one_comes_in(house: ManagerHarness) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    asked = [house.engine.ask(configuration.stream_key) for _ in range(2)]
    await house.settled()
    assert list(house.engine.admitted) == asked[:1]
    assert list(house.engine.refused) == asked[1:]
    assert await house.events(stage, configuration.participant_id) == ["JOINED", "PUBLISH_ERROR:REUSE_OF_STREAM_KEY"]


@pytest.mark.parametrize("quota", ["publishers_per_stage", "publishers_per_account", "participants_per_stage"])
async def test_a_full_house_is_a_quota(house: ManagerHarness, quota: str) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    await house.publish(house.claims(stage, "P"))
    house.manager._ingest._room._limits = replace(RELAXED, **{quota: 1})

    told = await house.turned_away(configuration.stream_key)

    assert told.startswith("QUOTA_EXCEEDED: ")
    assert await house.events(stage, configuration.participant_id) == ["PUBLISH_ERROR:QUOTA_EXCEEDED"]


async def test_a_book_that_cannot_keep_up_refuses_without_an_event(
    house: ManagerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    monkeypatch.setattr(join_pipeline, "MAXIMUM_BACKLOG", 0)
    for key in (configuration.stream_key, wrong_secret(configuration)):
        assert (await house.turned_away(key)).startswith("INTERNAL_SERVER_EXCEPTION: ")
    await nothing_is_recorded(house, stage)
    assert house.manager.unknown_stream_keys == 0


@pytest.mark.parametrize(
    ("reason", "cause"), [(RefusalReason.ENGINE_LOST, Cause.ENGINE_LOST), (RefusalReason.BUSY, Cause.REFUSED)]
)
async def test_an_engine_that_cannot_take_it_is_an_internal_error(
    house: ManagerHarness, reason: RefusalReason, cause: Cause
) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    house.engine.refuse = reason

    told = await house.turned_away(configuration.stream_key)

    assert told == f"INTERNAL_SERVER_EXCEPTION: scripted: {reason.value}"
    assert await house.events(stage, configuration.participant_id) == [
        "JOINED",
        "PUBLISH_ERROR:INTERNAL_SERVER_EXCEPTION",
        "LEFT",
    ]
    last = house.book.list_events(stage.arn, house.session_id(stage), configuration.participant_id)[-1].event
    assert last.cause is cause
    assert not house.manager.ingest_configurations.is_active(configuration)


async def test_an_encoder_that_went_before_it_was_let_in_is_no_error(house: ManagerHarness) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    house.engine.refuse = RefusalReason.UNKNOWN_CONNECTION
    await house.turned_away(configuration.stream_key)
    assert await house.events(stage, configuration.participant_id) == ["JOINED", "LEFT"]


async def test_nobody_comes_in_while_the_server_stops(house: ManagerHarness) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    before = house.engine.ask(configuration.stream_key)
    await house.manager.shutdown()
    after = house.engine.ask(configuration.stream_key)
    await nothing_is_recorded(house, stage)
    for ask_id in (before, after):
        assert house.engine.refused[ask_id] == "INTERNAL_SERVER_EXCEPTION: the server is stopping"


async def test_only_some_refusals_a_minute_are_recorded(house: ManagerHarness) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    for _ in range(RECORDED_PER_MINUTE + 5):
        told = await house.turned_away(wrong_secret(configuration))
        assert told.startswith("INVALID_STREAM_KEY: ")
    assert len(await house.events(stage, configuration.participant_id)) == RECORDED_PER_MINUTE

    await house.turned_away(configuration.stream_key, is_secure=False)
    assert (await house.events(stage, configuration.participant_id))[-1] == "PUBLISH_ERROR:INVALID_PROTOCOL"

    house.clock.ms += MINUTE_MS
    await house.turned_away(wrong_secret(configuration))
    assert (await house.events(stage, configuration.participant_id))[-1] == "PUBLISH_ERROR:INVALID_STREAM_KEY"


def test_refusals_are_counted_for_each_configuration_and_forgotten() -> None:
    refusals = RefusalRateLimit()
    for number in range(TIDY_ABOVE + 2):
        assert refusals.may_record(f"arn-{number}", ErrorCode.INVALID_STREAM_KEY, now_ms=number)
    assert refusals.may_record("arn-0", ErrorCode.INVALID_STREAM_KEY, now_ms=MINUTE_MS + TIDY_ABOVE + 2)
    assert len(refusals._minutes) == 1


async def test_a_token_cannot_be_a_participant_of_an_ingest_configuration(house: ManagerHarness) -> None:
    own = await own_tokens(house)
    elsewhere = await house.stage("elsewhere")
    plain = await house.configuration(own.stage)
    redundant = await house.configuration(elsewhere, redundant=True)
    streams = [credential.participant_id for credential in redundant.redundant_credentials]
    for participant_id in (plain.participant_id, redundant.participant_id, *streams):
        claims = own.claims(participant_id, *Capability)
        for attempt in (
            house.publish(claims),
            house.subscribe(claims, "P"),
            house.manager.open_events(claims, watcher=Watcher(), client=CLIENT),
        ):
            with pytest.raises(TokenRefusedError) as caught:
                await attempt
            assert caught.value.refusal is TokenRefusal.JTI_IN_USE
    await nothing_is_recorded(house, own.stage)


async def test_the_id_of_a_deleted_configuration_is_free(house: ManagerHarness) -> None:
    own = await own_tokens(house)
    configuration = await house.configuration(own.stage)
    await house.encode(configuration.stream_key)
    await house.manager.ingest_configurations.delete(arn=configuration.arn, force=True)

    await house.publish(own.claims(configuration.participant_id, *Capability))

    assert (await house.events(own.stage, configuration.participant_id))[-2:] == PUBLISHED
    record = house.book.get_participant(own.stage.arn, house.session_id(own.stage), configuration.participant_id)
    assert record is not None
    assert (record.ingest_configuration_arn, record.protocol) == (None, ParticipantProtocol.WHIP)


async def test_an_encoder_cannot_be_a_participant_who_came_by_a_token(house: ManagerHarness) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    await house.publish(house.claims(stage, "P"))
    await house.book.submit([PutResource(resource=replace(configuration, participant_id="P"))]).durable

    told = await house.turned_away(configuration.stream_key)

    assert told.startswith("REUSE_OF_STREAM_KEY: ")
    assert await house.events(stage, "P") == [*PUBLISHED, "PUBLISH_ERROR:REUSE_OF_STREAM_KEY"]
