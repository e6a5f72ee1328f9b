"""The validation of inputs, against a second implementation of the rules."""

import copy
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stagebook.api.aws.rest_json.service_model import Shape, load_service_model
from stagebook.api.aws.rest_json.validation import BrokenRuleError, compile_check, compile_input
from stagebook.stage.errors import InvalidInputError
from tests.api.aws.model_rules import OPERATIONS, SHAPES, Json, Path, conforms, enum_of, pattern_of, valid, violations

MODEL = load_service_model()
VALIDATE = {name: compile_input(operation.input) for name, operation in MODEL.operations.items()}
INPUTS = {name: operation["input"]["shape"] for name, operation in OPERATIONS.items()}
EVERY_OPERATION = pytest.mark.parametrize("operation", sorted(OPERATIONS))


def path_text(path: Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


@EVERY_OPERATION
def test_an_input_with_every_member_is_accepted_unchanged(operation: str) -> None:
    document = valid(INPUTS[operation])

    assert VALIDATE[operation](document) == document


@EVERY_OPERATION
def test_every_broken_rule_is_refused_with_the_members_path(operation: str) -> None:
    cases = [(path, rule, document) for path, rule, document in violations(INPUTS[operation]) if path]
    assert cases or not SHAPES[INPUTS[operation]]["members"]
    for path, rule, document in cases:
        assert not conforms(INPUTS[operation], document), f"{rule} at {path} breaks no rule"
        with pytest.raises(InvalidInputError) as refused:
            VALIDATE[operation](document)
        assert refused.value.member == path_text(path), rule


@EVERY_OPERATION
def test_only_required_members_are_required_and_null_means_absent(operation: str) -> None:
    shape = SHAPES[INPUTS[operation]]
    full = valid(INPUTS[operation])
    required = {name: full[name] for name in shape.get("required", [])}
    with_nulls = {name: full[name] if name in required else None for name in full}

    assert VALIDATE[operation](required) == required
    assert VALIDATE[operation](with_nulls) == required


@EVERY_OPERATION
def test_unknown_members_are_ignored_at_every_depth(operation: str) -> None:
    document = valid(INPUTS[operation])

    def with_unknown_members(value: Json, name: str) -> Json:
        shape = SHAPES[name]
        if shape["type"] == "structure":
            known = {key: with_unknown_members(value[key], member["shape"]) for key, member in shape["members"].items()}
            return {"x-unknown": {"a": [1]}, **known}
        if shape["type"] == "list":
            return [with_unknown_members(item, shape["member"]["shape"]) for item in value]
        return value

    assert VALIDATE[operation](with_unknown_members(document, INPUTS[operation])) == document


def _scalars() -> st.SearchStrategy[Any]:
    return st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)


ANY_JSON = st.recursive(
    _scalars(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


def _paths(value: Json) -> list[Path]:
    """Return the paths of all values in a JSON value, its own first."""
    steps: list[Any] = []
    if isinstance(value, dict):
        steps = list(value)
    elif isinstance(value, list):
        steps = list(range(len(value)))
    return [(), *((step, *inner) for step in steps for inner in _paths(value[step]))]


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), operation=st.sampled_from(sorted(OPERATIONS)))
def test_an_input_is_accepted_exactly_when_it_conforms(data: st.DataObject, operation: str) -> None:
    document = copy.deepcopy(valid(INPUTS[operation]))
    for _ in range(data.draw(st.integers(1, 3))):
        *above, last = data.draw(st.sampled_from([path for path in _paths(document) if path] or [("x",)]))
        holder = document
        for step in above:
            holder = holder[step]
        holder[last] = data.draw(ANY_JSON | st.sampled_from(["", "a", 1, 2, 10, 300, "A" * 128, "A" * 129, [], {}]))

    try:
        VALIDATE[operation](document)
        is_accepted = True
    except InvalidInputError:
        is_accepted = False

    assert is_accepted == conforms(INPUTS[operation], document)


def _shapes_within(shape: Shape) -> dict[str, Shape]:
    parts = [member.shape for member in shape.members] + [part for part in (shape.item, shape.key) if part is not None]
    found = {shape.name: shape}
    for part in parts:
        found |= _shapes_within(part)
    return found


IN_INPUTS = {n: s for operation in MODEL.operations.values() for n, s in _shapes_within(operation.input).items()}
WITH_PATTERNS = sorted(name for name in IN_INPUTS if pattern_of(name))


@settings(max_examples=300)
@given(data=st.data(), name=st.sampled_from(WITH_PATTERNS))
def test_a_pattern_must_match_the_whole_string(data: st.DataObject, name: str) -> None:
    matching = st.from_regex(pattern_of(name) or "", fullmatch=True)
    text = data.draw(
        matching | matching.map(lambda m: m + "\n") | matching.map(lambda m: " " + m) | st.text(max_size=40)
    )

    try:
        compile_check(IN_INPUTS[name])(text)
        is_accepted = True
    except BrokenRuleError:
        is_accepted = False

    assert is_accepted == conforms(name, text)


def refusal(operation: str, **document: Json) -> str:
    with pytest.raises(InvalidInputError) as refused:
        VALIDATE[operation](document)
    return str(refused.value)


def test_messages_name_the_member_and_the_rule() -> None:
    arn = valid("StageArn")
    assert refusal("GetStage") == "arn: is required"
    assert refusal("GetStage", arn=5) == "arn: must be a string"
    assert refusal("GetStage", arn="") == "arn: must have 1 to 128 characters"
    assert refusal("CreateStage", name="a b") == "name: must match [a-zA-Z0-9-_]* as a whole"
    assert refusal("CreateParticipantToken", stageArn=arn, duration=0) == "duration: must be an integer from 1 to 20160"
    assert (
        refusal("CreateParticipantToken", stageArn=arn, capabilities=["PUBLISH", "DANCE"])
        == "capabilities[1]: must be one of PUBLISH, SUBSCRIBE"
    )
    assert (
        refusal("CreateStage", participantTokenConfigurations=[{}, {}, {}, {"userId": "a" * 129}])
        == "participantTokenConfigurations[3].userId: must have 0 to 128 characters"
    )
    assert (
        refusal("CreateStage", participantTokenConfigurations=[{}] * 13)
        == "participantTokenConfigurations: must have 0 to 12 items"
    )
    assert refusal("CreateStage", tags={"": "x"}) == "tags: has a key that must have 1 to 128 characters"
    assert refusal("CreateStage", tags={"team": "x" * 257}) == "tags.team: must have 0 to 256 characters"
    assert refusal("CreateStage", tags={"a b": 5}) == 'tags["..."]: must be a string'
    assert (
        refusal("GetStageSession", stageArn=arn, sessionId="st-short") == "sessionId: must have exactly 16 characters"
    )


def test_the_first_broken_rule_in_the_order_of_the_model_is_reported() -> None:
    message = refusal("ListParticipantEvents", maxResults=0, participantId="!", sessionId="", stageArn="")

    assert message.startswith("stageArn: ")


def test_messages_do_not_contain_the_value() -> None:
    secret = "hunter2!"

    message = refusal("CreateStage", name=secret)

    assert secret not in message


@pytest.mark.parametrize("letter", ["é", "漢", "😀"])
def test_lengths_count_characters_not_bytes(letter: str) -> None:
    arn = valid("StageArn")

    VALIDATE["CreateParticipantToken"]({"stageArn": arn, "userId": letter * 128})

    assert refusal("CreateParticipantToken", stageArn=arn, userId=letter * 129).startswith("userId: ")


def test_the_filter_accepts_the_state_that_the_model_lacks() -> None:
    assert "DISABLED" not in SHAPES["ParticipantRecordingFilterByRecordingState"]["enum"]
    document = {**valid(INPUTS["ListParticipants"]), "filterByRecordingState": "DISABLED"}

    assert VALIDATE["ListParticipants"](document) == document


def test_a_public_key_may_have_text_around_it() -> None:
    pem = valid("PublicKeyMaterial")

    document = {"publicKeyMaterial": f"# made today\n{pem}\nthe end\n"}

    assert VALIDATE["ImportPublicKey"](document) == document


def test_enums_are_those_of_the_model() -> None:
    assert enum_of("ParticipantTokenCapability") == ["PUBLISH", "SUBSCRIBE"]
    assert re.fullmatch(pattern_of("ResourceArn") or "", valid("StageArn"))
