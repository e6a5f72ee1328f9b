"""The claims of participants of ingest configurations: the right to publish, and what the configuration says."""

import pytest

from stagebook.stage.claims import Claims, IngestOrigin, ingest_claims, virtual_claims
from stagebook.stage.resources import (
    Capability,
    IngestConfiguration,
    IngestCredential,
    IngestProtocol,
    ParticipantProtocol,
)

SINGLE = IngestConfiguration(
    arn="arn",
    account_id="1",
    created_ms=0,
    ingest_protocol=IngestProtocol.RTMPS,
    stage_arn="stage",
    participant_id="V",
    stream_key="key",
    user_id="encoder",
    attributes={"room": "one"},
)
REDUNDANT = IngestConfiguration(
    arn="arn",
    account_id="1",
    created_ms=0,
    ingest_protocol=IngestProtocol.RTMPS,
    stage_arn="stage",
    participant_id="V",
    stream_key="key",
    redundant_ingest=True,
    redundant_credentials=tuple(IngestCredential(participant_id=each, stream_key=f"key-{each}") for each in "AB"),
)


def claims_of(configuration: IngestConfiguration, participant_id: str) -> Claims:
    return ingest_claims(configuration, participant_id=participant_id, protocol=ParticipantProtocol.RTMP)


def test_a_single_stream_is_the_configuration_s_participant() -> None:
    claims = claims_of(SINGLE, "V")
    assert (claims.participant_id, claims.stage_arn, claims.user_id) == ("V", "stage", "encoder")
    assert claims.attributes == {"room": "one"}
    assert claims.capabilities == {Capability.PUBLISH}
    assert claims.ingest == IngestOrigin(configuration_arn="arn", protocol=ParticipantProtocol.RTMP)


def test_a_redundant_stream_names_the_virtual_participant_that_it_feeds() -> None:
    stream = claims_of(REDUNDANT, "A").ingest
    assert stream is not None
    assert (stream.is_redundant, stream.feeds) == (True, "V")


def test_the_virtual_participant_has_equal_claims_from_each_stream_and_the_configuration() -> None:
    virtual = claims_of(REDUNDANT, "V")
    assert virtual.ingest is not None
    assert (virtual.ingest.is_redundant, virtual.ingest.feeds) == (True, None)
    assert virtual_claims(claims_of(REDUNDANT, "A")) == virtual_claims(claims_of(REDUNDANT, "B")) == virtual


@pytest.mark.parametrize("claims", [claims_of(SINGLE, "V"), claims_of(REDUNDANT, "V")])
def test_only_a_redundant_stream_has_a_virtual_participant(claims: Claims) -> None:
    with pytest.raises(ValueError, match="no redundant stream"):
        virtual_claims(claims)
