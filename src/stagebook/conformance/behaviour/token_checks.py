"""Participant tokens: what CreateParticipantToken and CreateStage return, and the claims in a token.

A token is opaque by the documentation, but AWS's own samples and SDKs read the payload of the JWT: `whip_url`,
`events_url`, `topic`, `jti`, `capabilities` and `exp`.
"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from stagebook.conformance.check import Basis, Cost
from stagebook.conformance.check_group import CheckGroup, user_guide
from stagebook.conformance.check_outcomes import CheckFailedError
from stagebook.conformance.expectations import expect, expect_equal, expect_output, expect_refused
from stagebook.conformance.service_under_test import ServiceUnderTest
from stagebook.conformance.wire.wire_answer import Json

checks = CheckGroup(cost=Cost.CREATES)

TOKENS = user_guide("getting-started-distribute-tokens")
DEFAULT_MINUTES = 720
TOLERANCE_SECONDS = 360
"""The clocks of both sides may differ by the five minutes that signatures permit."""
TWELVE = 12


def _token(service: ServiceUnderTest, **members: Json) -> Json:
    stage_arn = service.shared("CreateStage")["arn"]
    return service.result("CreateParticipantToken", stageArn=stage_arn, **members)["participantToken"]


def _call(service: ServiceUnderTest, **members: Json) -> Json:
    return service.call("CreateParticipantToken", stageArn=service.shared("CreateStage")["arn"], **members)


def token_part(token: str, index: int) -> Mapping[str, Any]:
    """Return the header (0) or the payload (1) of a JWT, without verifying it. Raises CheckFailedError."""
    parts = token.split(".")
    if len(parts) != 3:
        raise CheckFailedError(expected="a JWT of three parts", got=f"{len(parts)} parts")
    try:
        document = json.loads(base64.urlsafe_b64decode(parts[index] + "=" * (-len(parts[index]) % 4)))
    except ValueError:
        raise CheckFailedError(expected="a JWT with JSON in base64url", got="other text") from None
    if not isinstance(document, dict):
        raise CheckFailedError(expected="a JSON object in the JWT", got=type(document).__name__)
    return document


def _minutes_left(token: Json) -> float:
    try:
        expires = datetime.fromisoformat(token["expirationTime"])
    except (KeyError, ValueError):
        raise CheckFailedError(expected="an expirationTime", got=str(token.get("expirationTime"))) from None
    return (expires - datetime.now(UTC)).total_seconds() / 60


def _expect_minutes(token: Json, minutes: int) -> None:
    left = _minutes_left(token)
    is_close = abs(left - minutes) * 60 <= TOLERANCE_SECONDS
    expect(is_close, expected=f"an expirationTime in {minutes} minutes", got=f"in {left:.0f}")


@checks.add("CreateParticipantToken", "output", source="service model, CreateParticipantTokenResponse")
def _output(service: ServiceUnderTest) -> None:
    expect_output(service, _call(service, userId="ann", attributes={"role": "host"}, capabilities=["PUBLISH"]))


@checks.add("CreateParticipantToken", "members", source=TOKENS)
def _members(service: ServiceUnderTest) -> None:
    token = _token(service)
    for member in ("participantId", "token", "expirationTime"):
        expect(bool(token.get(member)), expected=f"the member {member}", got=sorted(token))


@checks.add(
    "CreateParticipantToken",
    "duration.default",
    source="service model, ParticipantTokenDurationMinutes: default 720",
)
def _default_duration(service: ServiceUnderTest) -> None:
    _expect_minutes(_token(service), DEFAULT_MINUTES)


@checks.add("CreateParticipantToken", "duration.minimum", source="service model, ParticipantTokenDurationMinutes")
def _shortest(service: ServiceUnderTest) -> None:
    _expect_minutes(_token(service, duration=1), 1)


@checks.add("CreateParticipantToken", "duration.maximum", source="service model, ParticipantTokenDurationMinutes")
def _longest(service: ServiceUnderTest) -> None:
    _expect_minutes(_token(service, duration=20_160), 20_160)


@checks.add("CreateParticipantToken", "duration.returned", source=TOKENS, basis=Basis.OBSERVED)
def _duration_is_returned(service: ServiceUnderTest) -> None:
    expect_equal(_token(service, duration=30).get("duration"), 30, "duration")


@checks.add(
    "CreateParticipantToken", "userId.returned", source="AWS CLI reference, create-stage, example", basis=Basis.OBSERVED
)
def _user_is_returned(service: ServiceUnderTest) -> None:
    expect_equal(_token(service, userId="ann").get("userId"), "ann", "userId")


@checks.add("CreateParticipantToken", "userId.unicode", source="service model, ParticipantTokenUserId: any UTF-8")
def _user_in_unicode(service: ServiceUnderTest) -> None:
    token = _token(service, userId="Zoë 日本 👋")
    expect_equal(token_part(token["token"], 1).get("user_id"), "Zoë 日本 👋", "user_id")


@checks.add("CreateParticipantToken", "userId.longest", source="service model, ParticipantTokenUserId, at most 128")
def _longest_user(service: ServiceUnderTest) -> None:
    expect_output(service, _call(service, userId="u" * 128))


@checks.add("CreateParticipantToken", "attributes.returned", source=TOKENS, basis=Basis.OBSERVED)
def _attributes_are_returned(service: ServiceUnderTest) -> None:
    expect_equal(_token(service, attributes={"role": "host"}).get("attributes"), {"role": "host"}, "attributes")


@checks.add(
    "CreateParticipantToken", "attributes.900-bytes", source="service model, ParticipantTokenAttributes: 1 KB in total"
)
def _many_attributes(service: ServiceUnderTest) -> None:
    expect_output(service, _call(service, attributes={"a": "v" * 899}))


@checks.add(
    "CreateParticipantToken",
    "attributes.above-1-kb",
    source="service model, ParticipantTokenAttributes: 1 KB in total",
)
def _too_many_attributes(service: ServiceUnderTest) -> None:
    expect_refused(_call(service, attributes={"a": "v" * 600, "b": "v" * 600}), "ValidationException")


@checks.add("CreateParticipantToken", "capabilities.returned", source=TOKENS, basis=Basis.OBSERVED)
def _capabilities_are_returned(service: ServiceUnderTest) -> None:
    expect_equal(_token(service, capabilities=["SUBSCRIBE"]).get("capabilities"), ["SUBSCRIBE"], "capabilities")


@checks.add(
    "CreateParticipantToken",
    "capabilities.default",
    source="service model, ParticipantTokenCapabilities: default PUBLISH, SUBSCRIBE",
)
def _both_capabilities(service: ServiceUnderTest) -> None:
    capabilities = token_part(_token(service)["token"], 1).get("capabilities", {})
    allowed = sorted(name for name, is_allowed in capabilities.items() if is_allowed)
    expect_equal(allowed, ["allow_publish", "allow_subscribe"], "the capabilities in the token")


@checks.add("CreateParticipantToken", "capabilities.publish-only", source=TOKENS)
def _only_publish(service: ServiceUnderTest) -> None:
    capabilities = token_part(_token(service, capabilities=["PUBLISH"])["token"], 1).get("capabilities", {})
    allowed = sorted(name for name, is_allowed in capabilities.items() if is_allowed)
    expect_equal(allowed, ["allow_publish"], "the capabilities in the token")


@checks.add("CreateParticipantToken", "participantId.unique", source=TOKENS)
def _new_participant_each_time(service: ServiceUnderTest) -> None:
    first, second = (_token(service, userId="ann")["participantId"] for _ in range(2))
    expect(first != second, expected="a new participantId for each token", got=f"{first} twice")


@checks.add("CreateParticipantToken", "token.header", source=TOKENS, basis=Basis.OBSERVED)
def _header(service: ServiceUnderTest) -> None:
    header = token_part(_token(service)["token"], 0)
    expect_equal(header.get("typ"), "JWT", "typ")
    expect(header.get("alg") in {"ES384", "KMS"}, expected="alg ES384 or KMS", got=header.get("alg"))


@checks.add("CreateParticipantToken", "token.jti", source=TOKENS, basis=Basis.OBSERVED)
def _jti(service: ServiceUnderTest) -> None:
    token = _token(service)
    expect_equal(token_part(token["token"], 1).get("jti"), token["participantId"], "jti")


@checks.add("CreateParticipantToken", "token.resource", source=TOKENS)
def _resource(service: ServiceUnderTest) -> None:
    expected = service.shared("CreateStage")["arn"]
    expect_equal(token_part(_token(service)["token"], 1).get("resource"), expected, "resource")


@checks.add("CreateParticipantToken", "token.topic", source=TOKENS, basis=Basis.OBSERVED)
def _topic(service: ServiceUnderTest) -> None:
    expected = service.shared("CreateStage")["arn"].rpartition("/")[2]
    expect_equal(token_part(_token(service)["token"], 1).get("topic"), expected, "topic")


@checks.add("CreateParticipantToken", "token.urls", source=TOKENS)
def _urls(service: ServiceUnderTest) -> None:
    endpoints, payload = service.shared("CreateStage")["endpoints"], token_part(_token(service)["token"], 1)
    expect_equal(payload.get("events_url"), endpoints["events"], "events_url")
    whip_url = str(payload.get("whip_url"))
    expect(whip_url.startswith(("https://", "http://")), expected="an HTTP URL as whip_url", got=whip_url)


@checks.add("CreateParticipantToken", "token.exp", source=TOKENS)
def _exp(service: ServiceUnderTest) -> None:
    token = _token(service, duration=60)
    expires = datetime.fromisoformat(token["expirationTime"]).timestamp()
    exp = token_part(token["token"], 1).get("exp")
    expect(isinstance(exp, int) and abs(exp - expires) <= 1, expected=f"exp at {expires:.0f}", got=exp)


@checks.add("CreateParticipantToken", "token.attributes", source=TOKENS)
def _attributes_in_the_token(service: ServiceUnderTest) -> None:
    token = _token(service, attributes={"role": "host"}, userId="ann")
    payload = token_part(token["token"], 1)
    expect_equal(payload.get("attributes"), {"role": "host"}, "attributes")
    expect_equal(payload.get("user_id"), "ann", "user_id")


@checks.add("CreateStage", "participantTokenConfigurations.order", basis=Basis.OBSERVED)
def _tokens_in_order(service: ServiceUnderTest) -> None:
    users = [f"user-{number}" for number in range(TWELVE)]
    output = _stage_with_tokens(service, [{"userId": user} for user in users])
    expect_equal([token.get("userId") for token in output["participantTokens"]], users, "the users of the tokens")


@checks.add("CreateStage", "participantTokenConfigurations.settings")
def _settings_of_tokens(service: ServiceUnderTest) -> None:
    wanted = {"userId": "ann", "duration": 30, "attributes": {"role": "host"}, "capabilities": ["PUBLISH"]}
    (token,) = _stage_with_tokens(service, [wanted])["participantTokens"]
    _expect_minutes(token, 30)
    payload = token_part(token["token"], 1)
    expect_equal(payload.get("user_id"), "ann", "user_id")
    expect_equal(payload.get("attributes"), {"role": "host"}, "attributes")


@checks.add("CreateStage", "participantTokenConfigurations.resource", source=TOKENS)
def _stage_of_tokens(service: ServiceUnderTest) -> None:
    output = _stage_with_tokens(service, [{}])
    payload = token_part(output["participantTokens"][0]["token"], 1)
    expect_equal(payload.get("resource"), output["stage"]["arn"], "resource")


@checks.add("CreateStage", "participantTokenConfigurations.above-1-kb", source="service model, at most 1 KB in total")
def _too_many_attributes_of_tokens(service: ServiceUnderTest) -> None:
    tokens = [{}, {"attributes": {"a": "v" * 1_200}}]
    answer = service.call("CreateStage", name=service.name(), participantTokenConfigurations=tokens)
    expect_refused(answer, "ValidationException")


def _stage_with_tokens(service: ServiceUnderTest, tokens: list[Json]) -> Json:
    output = service.result("CreateStage", name=service.name(), participantTokenConfigurations=tokens)
    service.delete(output["stage"]["arn"])
    expect_equal(len(output.get("participantTokens", [])), len(tokens), "the number of tokens")
    return output
