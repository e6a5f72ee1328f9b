"""Refused encoders: each refusal, the detail that the encoder receives, and the event that is recorded."""

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from stagebook.book.changes import PutResource
from stagebook.log_rate_limit import MAX_LINES
from stagebook.manager.participants.encoder_rate_limit import (
    ADMITTED_PER_MINUTE,
    MINUTE_MS,
    RECORDED_PER_MINUTE,
)
from stagebook.manager.session import unit_of_work
from stagebook.media.port import RefusalReason
from stagebook.stage.errors import TokenRefusal, TokenRefusedError
from stagebook.stage.events import Cause
from stagebook.stage.limits import RELAXED
from stagebook.stage.resources import (
    Capability,
    IngestConfiguration,
    ParticipantProtocol,
    ParticipantState,
    Stage,
)
from tests.manager.manager_harness import CLIENT, ManagerHarness, Watcher
from tests.manager.own_tokens import own_tokens

PUBLISHED = ["JOINED", "PUBLISH_STARTED"]


def wrong_secret(configuration: IngestConfiguration) -> str:
    key = configuration.stream_key
    return key[:-1] + ("A" if key[-1] != "A" else "B")


def sessions(harness: ManagerHarness, stage: Stage) -> int:
    return len(harness.book.list_sessions(stage.arn, after=None, limit=10).items)


async def nothing_is_recorded(harness: ManagerHarness, stage: Stage) -> None:
    await harness.settled()
    assert sessions(harness, stage) == 0


@pytest.mark.parametrize("key_kind", ["", "live", "rt_1_x", "another id", "another account", "another region"])
async def test_a_key_that_names_no_configuration_is_counted_and_makes_no_event(
    harness: ManagerHarness, key_kind: str
) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    resource_id = configuration.arn.rpartition("/")[2]
    key = {
        "another id": configuration.stream_key.replace(resource_id, "AbCdEfGh1234"),
        "another account": configuration.stream_key.replace("rt_123456789012", "rt_210987654321"),
        "another region": configuration.stream_key.replace("us-west-2", "eu-west-1"),
    }.get(key_kind, key_kind)

    detail = await harness.refused_encoder(key)

    assert detail.startswith("INVALID_STREAM_KEY: ")
    assert harness.manager.unknown_stream_keys == 1
    await nothing_is_recorded(harness, stage)


async def test_the_log_lines_about_refused_keys_are_limited_and_counted(harness: ManagerHarness) -> None:
    with capture_logs() as lines:
        for _ in range(200):
            await harness.refused_encoder("live")
    assert harness.manager.unknown_stream_keys == 200
    assert [line["event"] for line in lines] == MAX_LINES * ["encoder refused"]


@pytest.mark.parametrize("why", ["never attached", "taken off", "stage deleted", "configuration deleted"])
async def test_the_key_of_a_configuration_without_a_stage_counts_as_unknown(harness: ManagerHarness, why: str) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(None if why == "never attached" else stage)
    match why:
        case "taken off":
            await harness.manager.ingest_configurations.update(
                arn=configuration.arn, stage_arn="", redundant_ingest=None
            )
        case "stage deleted":
            await harness.manager.stages.delete(stage_arn=stage.arn)
        case "configuration deleted":
            await harness.manager.ingest_configurations.delete(arn=configuration.arn, force=False)

    unknown = await harness.refused_encoder("no key at all")
    assert await harness.refused_encoder(configuration.stream_key) == unknown
    assert await harness.refused_encoder(wrong_secret(configuration)) == unknown

    assert harness.manager.unknown_stream_keys == 3
    await nothing_is_recorded(harness, stage)


async def test_a_stage_that_is_being_deleted_admits_no_encoder(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    deletion = harness.manager.stages.delete(stage_arn=stage.arn)
    ask_id = harness.engine.request_ingest(configuration.stream_key)
    await deletion
    await harness.settled()
    assert harness.engine.refused[ask_id].startswith("INVALID_STREAM_KEY: ")


async def test_only_a_key_that_matches_no_configuration_counts_as_a_wrong_key(harness: ManagerHarness) -> None:
    configuration = await harness.configuration(None)
    await harness.refused_encoder(configuration.stream_key)
    assert harness.engine.wrong_keys == set()
    for key in ("no key at all", wrong_secret(configuration)):
        harness.engine.wrong_keys.clear()
        await harness.refused_encoder(key)
        assert len(harness.engine.wrong_keys) == 1


async def test_a_wrong_secret_is_an_error_of_the_configurations_participant(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)

    detail = await harness.refused_encoder(wrong_secret(configuration))

    assert detail == "INVALID_STREAM_KEY: the secret of the stream key is not the ingest configuration's"
    assert await harness.events(stage, configuration.participant_id) == ["PUBLISH_ERROR:INVALID_STREAM_KEY"]
    assert harness.manager.unknown_stream_keys == 0


async def test_a_refused_encoder_has_a_row_and_never_joined(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    await harness.refused_encoder(wrong_secret(configuration))
    record = harness.book.get_participant(stage.arn, harness.session_id(stage), configuration.participant_id)
    assert record is not None
    assert (record.state, record.first_join_ms) == (ParticipantState.DISCONNECTED, None)
    assert (record.published, record.protocol) == (False, ParticipantProtocol.UNKNOWN)
    assert record.ingest_configuration_arn == configuration.arn


async def test_rtmp_is_refused_where_rtmps_is_required(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    detail = await harness.refused_encoder(configuration.stream_key, is_secure=False)
    assert detail.startswith("INVALID_PROTOCOL: ")
    assert await harness.events(stage, configuration.participant_id) == ["PUBLISH_ERROR:INVALID_PROTOCOL"]


async def test_rtmps_is_allowed_where_rtmp_is_allowed(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage, insecure=True)
    await harness.publish_rtmp(configuration.stream_key, is_secure=True)
    assert await harness.events(stage, configuration.participant_id) == PUBLISHED


async def test_a_wrong_secret_is_reported_before_a_wrong_protocol(harness: ManagerHarness) -> None:
    configuration = await harness.configuration(await harness.stage())
    detail = await harness.refused_encoder(wrong_secret(configuration), is_secure=False)
    assert detail.startswith("INVALID_STREAM_KEY: ")


@pytest.mark.parametrize("flows", [True, False], ids=["flowing", "opening"])
async def test_a_key_in_use_is_refused_and_the_first_encoder_continues(harness: ManagerHarness, *, flows: bool) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    first = await harness.publish_rtmp(configuration.stream_key, connect=flows)

    detail = await harness.refused_encoder(configuration.stream_key)

    assert detail.startswith("REUSE_OF_STREAM_KEY: ")
    before = PUBLISHED if flows else ["JOINED"]
    assert await harness.events(stage, configuration.participant_id) == [*before, "PUBLISH_ERROR:REUSE_OF_STREAM_KEY"]
    assert harness.engine.closed == harness.engine.ended_sources == []
    harness.engine.lose(first)
    assert (await harness.events(stage, configuration.participant_id))[-1] == "LEFT"


async def test_an_encoder_that_connects_too_often_is_refused_without_an_event(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    other = await harness.configuration(stage)
    for _ in range(ADMITTED_PER_MINUTE):
        harness.engine.lose(await harness.publish_rtmp(configuration.stream_key))
        await harness.settled()
    before = await harness.events(stage, configuration.participant_id)

    detail = await harness.refused_encoder(configuration.stream_key)

    assert "more than 60 times a minute" in detail
    assert await harness.events(stage, configuration.participant_id) == before
    assert harness.engine.wrong_keys == set()
    await harness.publish_rtmp(other.stream_key)
    harness.clock.ms += MINUTE_MS
    await harness.publish_rtmp(configuration.stream_key)


async def test_of_two_encoders_at_once_one_is_admitted(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    asked = [harness.engine.request_ingest(configuration.stream_key) for _ in range(2)]
    await harness.settled()
    assert list(harness.engine.admitted) == asked[:1]
    assert list(harness.engine.refused) == asked[1:]
    assert await harness.events(stage, configuration.participant_id) == ["JOINED", "PUBLISH_ERROR:REUSE_OF_STREAM_KEY"]


@pytest.mark.parametrize("quota", ["publishers_per_stage", "publishers_per_account", "participants_per_stage"])
async def test_a_reached_quota_refuses_an_encoder(harness: ManagerHarness, quota: str) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    await harness.publish(harness.claims(stage, "P"))
    harness.set_limits(replace(RELAXED, **{quota: 1}))

    detail = await harness.refused_encoder(configuration.stream_key)

    assert detail.startswith("QUOTA_EXCEEDED: ")
    assert await harness.events(stage, configuration.participant_id) == ["PUBLISH_ERROR:QUOTA_EXCEEDED"]


async def test_a_book_that_cannot_keep_up_refuses_without_an_event(
    harness: ManagerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    monkeypatch.setattr(unit_of_work, "MAXIMUM_BACKLOG", 0)
    for key in (configuration.stream_key, wrong_secret(configuration)):
        assert (await harness.refused_encoder(key)).startswith("INTERNAL_SERVER_EXCEPTION: ")
    await nothing_is_recorded(harness, stage)
    assert harness.manager.unknown_stream_keys == 0


@pytest.mark.parametrize(
    ("reason", "cause"), [(RefusalReason.ENGINE_LOST, Cause.ENGINE_LOST), (RefusalReason.BUSY, Cause.REFUSED)]
)
async def test_an_engine_that_refuses_an_encoder_is_an_internal_error(
    harness: ManagerHarness, reason: RefusalReason, cause: Cause
) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    harness.engine.refuse = reason

    detail = await harness.refused_encoder(configuration.stream_key)

    assert detail == f"INTERNAL_SERVER_EXCEPTION: scripted: {reason.value}"
    assert await harness.events(stage, configuration.participant_id) == [
        "JOINED",
        "PUBLISH_ERROR:INTERNAL_SERVER_EXCEPTION",
        "LEFT",
    ]
    last = harness.book.list_events(stage.arn, harness.session_id(stage), configuration.participant_id)[-1].event
    assert last.cause is cause
    assert not harness.manager.ingest_configurations.is_active(configuration)


async def test_an_encoder_that_disconnected_before_it_was_admitted_has_no_error(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    harness.engine.refuse = RefusalReason.UNKNOWN_CONNECTION
    await harness.refused_encoder(configuration.stream_key)
    assert await harness.events(stage, configuration.participant_id) == ["JOINED", "LEFT"]


async def test_no_encoder_is_admitted_while_the_server_stops(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    before = harness.engine.request_ingest(configuration.stream_key)
    await harness.manager.shutdown()
    after = harness.engine.request_ingest(configuration.stream_key)
    await nothing_is_recorded(harness, stage)
    for ask_id in (before, after):
        assert harness.engine.refused[ask_id] == "INTERNAL_SERVER_EXCEPTION: the server is stopping"


async def test_only_some_refusals_a_minute_are_recorded(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    for _ in range(RECORDED_PER_MINUTE + 5):
        detail = await harness.refused_encoder(wrong_secret(configuration))
        assert detail.startswith("INVALID_STREAM_KEY: ")
    assert len(await harness.events(stage, configuration.participant_id)) == RECORDED_PER_MINUTE

    await harness.refused_encoder(configuration.stream_key, is_secure=False)
    assert (await harness.events(stage, configuration.participant_id))[-1] == "PUBLISH_ERROR:INVALID_PROTOCOL"

    harness.clock.ms += MINUTE_MS
    await harness.refused_encoder(wrong_secret(configuration))
    assert (await harness.events(stage, configuration.participant_id))[-1] == "PUBLISH_ERROR:INVALID_STREAM_KEY"


async def test_a_token_cannot_name_a_participant_of_an_ingest_configuration(harness: ManagerHarness) -> None:
    own = await own_tokens(harness)
    elsewhere = await harness.stage("elsewhere")
    plain = await harness.configuration(own.stage)
    redundant = await harness.configuration(elsewhere, redundant=True)
    streams = [credential.participant_id for credential in redundant.redundant_credentials]
    for participant_id in (plain.participant_id, redundant.participant_id, *streams):
        claims = own.claims(participant_id, *Capability)
        for attempt in (
            harness.publish(claims),
            harness.subscribe(claims, "P"),
            harness.manager.participants.open_events(claims, watcher=Watcher(), client=CLIENT),
        ):
            with pytest.raises(TokenRefusedError) as caught:
                await attempt
            assert caught.value.refusal is TokenRefusal.JTI_IN_USE
    await nothing_is_recorded(harness, own.stage)


async def test_a_token_can_name_the_participant_of_a_deleted_configuration(harness: ManagerHarness) -> None:
    own = await own_tokens(harness)
    configuration = await harness.configuration(own.stage)
    await harness.publish_rtmp(configuration.stream_key)
    await harness.manager.ingest_configurations.delete(arn=configuration.arn, force=True)

    await harness.publish(own.claims(configuration.participant_id, *Capability))

    assert (await harness.events(own.stage, configuration.participant_id))[-2:] == PUBLISHED
    record = harness.book.get_participant(own.stage.arn, harness.session_id(own.stage), configuration.participant_id)
    assert record is not None
    assert (record.ingest_configuration_arn, record.protocol) == (None, ParticipantProtocol.WHIP)


async def test_an_encoder_cannot_take_the_place_of_a_participant_with_a_token(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    await harness.publish(harness.claims(stage, "P"))
    await harness.book.submit([PutResource(resource=replace(configuration, participant_id="P"))]).durable

    detail = await harness.refused_encoder(configuration.stream_key)

    assert detail.startswith("REUSE_OF_STREAM_KEY: ")
    assert await harness.events(stage, "P") == [*PUBLISHED, "PUBLISH_ERROR:REUSE_OF_STREAM_KEY"]
