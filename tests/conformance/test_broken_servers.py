"""The suite can fail: each class of check detects a corruption of the answers of a real server."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from stagebook.conformance.check import Cost
from stagebook.conformance.check_outcomes import CheckOutcome
from stagebook.conformance.check_run import CheckRun
from stagebook.conformance.composition_scene.composition_script import CompositionOutcome, compositions_of
from stagebook.conformance.media_scene.scene_script import SceneOutcome, scene_of
from stagebook.conformance.wire.wire_answer import WireAnswer
from tests.conformance.corrupting_proxy import CUT_HEADER, Corruption, ProxiedAnswer, corrupting_proxy
from tests.conformance.suite_runs import CHECKS, failed, run_checks, service_of
from tests.e2e.server import RunningServer, run_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of its own, because what is made behind a proxy that corrupts ARNs stays."""
    with run_server(tmp_path_factory.mktemp("broken") / "data") as server:
        yield server


def status(number: int, *, only: Callable[[ProxiedAnswer], bool] = lambda _answer: True) -> Corruption:
    """Return a corruption that changes the status and leaves the body."""
    return lambda answer: msgspec.structs.replace(answer, status=number) if only(answer) else answer


def accept(answer: ProxiedAnswer) -> ProxiedAnswer:
    """Turn every refusal into a success."""
    return answer if answer.status < 400 else msgspec.structs.replace(answer, status=200, body=b"{}")


def fail(answer: ProxiedAnswer) -> ProxiedAnswer:
    """Turn every success into an internal error."""
    if answer.status >= 300:
        return answer
    body = b'{"exceptionMessage":"broken"}'
    return msgspec.structs.replace(
        answer, status=500, headers={"x-amzn-errortype": "InternalServerException"}, body=body
    )


def error_type(name: str) -> Corruption:
    """Return a corruption that gives every refusal another name."""
    return lambda answer: (
        answer
        if answer.status < 400
        else msgspec.structs.replace(answer, headers={**answer.headers, "x-amzn-errortype": name})
    )


def document(change: Callable[[Any], Any]) -> Corruption:
    """Return a corruption that changes the JSON of every answer that has a body."""

    def corrupt(answer: ProxiedAnswer) -> ProxiedAnswer:
        if not answer.body:
            return answer
        return msgspec.structs.replace(answer, body=json.dumps(change(json.loads(answer.body))).encode())

    return corrupt


def without(member: str) -> Corruption:
    """Return a corruption that leaves a member out of every object."""

    def change(value: Any) -> Any:  # noqa: ANN401 - any JSON value
        if isinstance(value, dict):
            return {name: change(item) for name, item in value.items() if name != member}
        return [change(item) for item in value] if isinstance(value, list) else value

    return document(change)


def replaced(member: str, new: object) -> Corruption:
    """Return a corruption that gives a member another value wherever it is."""

    def change(value: Any) -> Any:  # noqa: ANN401 - any JSON value
        if isinstance(value, dict):
            return {name: new if name == member else change(item) for name, item in value.items()}
        return [change(item) for item in value] if isinstance(value, list) else value

    return document(change)


def without_header(name: str) -> Corruption:
    """Return a corruption that leaves a header out."""
    return lambda answer: msgspec.structs.replace(
        answer, headers={other: value for other, value in answer.headers.items() if other != name}
    )


CASES: list[tuple[str, Corruption, str]] = [
    ("an invalid input is accepted", accept, "ListParticipantEvents.*.too-long"),
    ("an invalid input has another status", status(422), "CreateStage.name.*"),
    ("an invalid input has another error", error_type("ConflictException"), "ListStages.maxResults.*-m?n?mum"),
    ("a message does not name the member", replaced("exceptionMessage", "invalid"), "*.error.names-the-member"),
    ("an error has no exceptionMessage", without("exceptionMessage"), "Get*.error.form"),
    ("an error has no x-amzn-ErrorType", without_header("x-amzn-errortype"), "Get*.error.form"),
    ("an unsigned call is accepted", accept, "*.unsigned"),
    ("a wrong signature is accepted", accept, "*.wrong-signature"),
    ("a changed signature is accepted", accept, "Signature.*"),
    ("another account's resource is found", accept, "*.other-account"),
    ("an unknown resource is found", accept, "Get*.arn.unknown"),
    ("an unknown operation is accepted", accept, "UnknownOperation.*"),
    ("a list lacks its required member", without("stages"), "ListStages.output"),
    ("an output has a member that the model lacks", document(lambda value: {**value, "more": 1}), "List*s.output"),
    ("an output has a member of another type", replaced("arn", 5), "GetStage.output"),
    ("an output has an ARN of another form", replaced("arn", "arn:aws:ivs:x"), "CreateStage.arn"),
    (
        "a page token is always sent",
        document(lambda value: {**value, "nextToken": "a"}),
        "ListStages.nextToken.last-page",
    ),
    ("a page token is never sent", without("nextToken"), "ListStages.pages-complete"),
    ("a made-up page token is accepted", accept, "*.nextToken.made-up"),
    ("a name is lost", replaced("name", "other"), "*.name.returned"),
    ("tags are lost", replaced("tags", {}), "*.tags.returned"),
    ("tags cannot be changed", replaced("tags", {"team": "blue"}), "TagResource.of-*"),
    ("a deleted resource is found", accept, "Delete*.gone"),
    ("a token has another stage", replaced("token", "e30.e30.e30"), "CreateParticipantToken.token.*"),
    ("a token ends at once", replaced("expirationTime", "2023-04-26T20:30:34Z"), "*.duration.m*"),
    ("a stage has no endpoints", without("endpoints"), "CreateStage.endpoints*"),
    ("a composition without its configurations starts", accept, "StartComposition.destinations.s3.*.unknown"),
    ("filters are combined", accept, "ListParticipants.filters.*"),
    ("a fresh stage has a session", replaced("stageSessions", [{}]), "ListStageSessions.fresh-stage"),
    ("any key is imported", accept, "ImportPublicKey.publicKeyMaterial.rsa"),
    ("a key has another fingerprint", replaced("fingerprint", "0"), "ImportPublicKey.fingerprint.form"),
    ("a stream key is not that of the account", replaced("streamKey", "rt_1_a_b_c"), "*.streamKey.form"),
    ("a list shows stream keys", replaced("state", "ACTIVE"), "ListIngestConfigurations.filterByState.inactive"),
    ("defaults are other ones", replaced("video", {}), "CreateEncoderConfiguration.video.defaults"),
    ("headers of the model are absent", without_header("cache-control"), "CreateIngestConfiguration.headers"),
    ("the content type is another one", without_header("content-type"), "ListStages.response.content-type"),
    ("the request id is absent", without_header("x-amzn-requestid"), "ListStages.response.request-id"),
]


@pytest.mark.parametrize(("corruption", "pattern"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_corruption_is_detected(server: RunningServer, corruption: Corruption, pattern: str) -> None:
    """Every check of the pattern fails."""
    with corrupting_proxy(server.endpoint_url, corruption) as endpoint_url:
        results = run_checks(server, pattern, endpoint_url=endpoint_url)
    assert failed(results) == results.keys()


@pytest.mark.conformance
def test_every_check_fails_on_some_broken_server(server: RunningServer) -> None:
    """A server that refuses nothing, and one that can do nothing: no check passes on both."""
    passed = {check.name for check in CHECKS if check.cost in (Cost.HARMLESS, Cost.CREATES)}
    for corruption in (accept, fail):
        with corrupting_proxy(server.endpoint_url, corruption) as endpoint_url:
            results = run_checks(server, endpoint_url=endpoint_url)
        passed &= {name for name, result in results.items() if result.outcome is CheckOutcome.PASSED}
    assert passed == set()


def accepted(answer: WireAnswer) -> WireAnswer:
    """Turn an answer into a success without contents."""
    return msgspec.structs.replace(answer, status=200, headers={}, body=b"{}")


def refused(answer: WireAnswer) -> WireAnswer:
    """Turn an answer into an internal error."""
    return msgspec.structs.replace(answer, status=500, headers={}, body=b"{}")


@pytest.mark.conformance
def test_every_check_with_participants_fails_on_some_broken_server(server: RunningServer) -> None:
    """The scene is played once, and its answers are then those of two broken servers."""
    service = service_of(server)
    scene = scene_of(service)
    media = [check for check in CHECKS if check.cost is Cost.MEDIA]
    passed = {check.name for check in media}
    for corruption in (accepted, refused):
        answers = {name: corruption(answer) for name, answer in scene.answers.items()}
        broken = service_of(server)
        is_refused = scene.is_return_refused and corruption is refused
        changed = msgspec.structs.replace(scene, answers=answers, is_return_refused=is_refused)
        broken.once("scene", lambda changed=changed: SceneOutcome(changed))  # type: ignore[misc]  # a default argument
        run = CheckRun(broken)
        run.run(media)
        passed &= {result.name for result in run.results if result.outcome is CheckOutcome.PASSED}
    assert service.delete_all() == []
    assert passed == set()


def test_every_check_of_compositions_fails_on_some_broken_server(testing_server: RunningServer) -> None:
    """The compositions are started once, and the answers are then those of two broken servers."""
    service = service_of(testing_server)
    scene = compositions_of(service)
    assert service.delete_all() == []
    composing = [check for check in CHECKS if check.cost is Cost.COMPOSES and check.rule != "quota"]
    passed = {check.name for check in composing}
    for corruption in (accepted, refused):
        answers = {name: corruption(answer) for name, answer in scene.answers.items() if name != "start"}
        changed = msgspec.structs.replace(scene, answers=answers | {"start": scene.answers["start"]})
        broken = service_of(testing_server)
        broken.once("compositions", lambda changed=changed: CompositionOutcome(changed))  # type: ignore[misc]  # a default argument
        run = CheckRun(broken)
        run.run(composing)
        passed &= {result.name for result in run.results if result.outcome is CheckOutcome.PASSED}
    # They look at the answer to StartComposition only, which gives the others their ARN.
    of_start = {name for name in passed if name.startswith("StartComposition")}
    assert passed == of_start
    for corruption in (accepted, refused):
        changed = msgspec.structs.replace(scene, answers={"start": corruption(scene.answers["start"])})
        broken = service_of(testing_server)
        broken.once("compositions", lambda changed=changed: CompositionOutcome(changed))  # type: ignore[misc]  # same
        run = CheckRun(broken)
        run.run([check for check in composing if check.name in of_start])
        passed &= {result.name for result in run.results if result.outcome is CheckOutcome.PASSED}
    assert passed == set()


def test_a_body_that_is_cut_is_detected(server: RunningServer) -> None:
    def cut(answer: ProxiedAnswer) -> ProxiedAnswer:
        return msgspec.structs.replace(answer, headers={**answer.headers, CUT_HEADER: "1"})

    with corrupting_proxy(server.endpoint_url, cut) as endpoint_url:
        results = run_checks(server, "ListStages.response.request-id", endpoint_url=endpoint_url)
    (result,) = results.values()
    assert result.expected.endswith("bytes of body")


def test_the_proxy_alone_changes_nothing(server: RunningServer) -> None:
    with corrupting_proxy(server.endpoint_url, lambda answer: answer) as endpoint_url:
        assert failed(run_checks(server, "GetStage.*", "*.output", endpoint_url=endpoint_url)) == set()
