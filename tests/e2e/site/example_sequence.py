"""All examples of the documentation site, called in their order on one server, as one language writes them.

A runner runs the text of an example, with the values of earlier responses in place of the site's sample values.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import reduce
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from contrib.site.reference_notes import FOLDER, Example, examples
from tests.e2e.aws.all_operations import publishing, wait_for_composition
from tests.e2e.aws.websocket_client import joined
from tests.e2e.server import Client, RunningServer

_STATES = {"composing": "ACTIVE", "composed": "STOPPED"}
DEADLINE_SECONDS = 30.0
POLL_SECONDS = 0.05

Json: TypeAlias = Any
Runner: TypeAlias = Callable[[Example, Mapping[str, str]], Json]
"""Runs an example and returns the response. Raises ExampleRefusedError for an error of the API, and
OperationMissingError."""


class ExampleRefusedError(Exception):
    """The call of an example got an error of the AWS API. The only argument is its code."""


class OperationMissingError(Exception):
    """The installed version of a client does not have the operation of an example."""


NEW_OPERATIONS = {"RevokeConnectionToken"}
"""Operations that the newest AWS CLI and AWS SDK for JavaScript may not have yet. botocore has them."""


class ServerWithClient(Protocol):
    """A server for which boto3 clients can be made."""

    def client(self) -> Client:
        """Return a boto3 client."""


Publish: TypeAlias = Callable[[Mapping[str, str]], AbstractContextManager[None]]
"""Lets the participant of `token` publish on `stage`, and another one join it, for the duration of the block."""


def write_files(folder: Path) -> None:
    """Write the files that examples read into the folder in which they run."""
    shutil.copy(FOLDER / "public.pem", folder)


def run_examples(server: ServerWithClient, run: Runner, publish: Publish) -> tuple[dict[str, str], dict[str, Json]]:
    """Run all examples. Return the saved values, and the responses by operation.

    The response to an example that is refused is the code of its error.
    """
    values = {"other": server.client().create_stage()["stage"]["arn"]}
    responses: dict[str, Json] = {}
    with ExitStack() as on_stage:
        for example in examples():
            responses[example.operation] = _response(example, values, run)
            for name, path in example.save.items():
                values[name] = _value(responses[example.operation], path)
            if example.after == "published":
                on_stage.enter_context(publish(values))
            elif example.after:
                wait_for_composition(server.client(), values["composition"], state=_STATES[example.after])
    return values, responses


def _response(example: Example, values: Mapping[str, str], run: Runner) -> Json:
    response, refusal = None, ""
    try:
        response = run(example, values)
    except ExampleRefusedError as error:
        refusal = str(error)
    except OperationMissingError:
        assert example.operation in NEW_OPERATIONS
    assert refusal == example.refusal, f"{example.operation}: {refusal}"
    return refusal or response


def _value(response: Json, path: str) -> str:
    """Return the value at a path like `stageSessions.0.sessionId`."""
    steps = (int(step) if step.isdigit() else step for step in path.split("."))
    found: str = reduce(lambda inner, step: inner[step], steps, response)
    return found


@contextmanager
def published_media(server: RunningServer, values: Mapping[str, str]) -> Iterator[None]:
    """A publisher with media and a participant with a websocket, for the duration of the `with` block."""
    ivs = server.client()
    viewer = ivs.create_participant_token(stageArn=values["stage"])["participantToken"]["token"]
    with publishing(values["token"]), joined(viewer):
        deadline_seconds = time.monotonic() + DEADLINE_SECONDS
        while not _is_published(server, values):
            assert time.monotonic() < deadline_seconds
            time.sleep(POLL_SECONDS)
        yield


def _is_published(server: RunningServer, values: Mapping[str, str]) -> bool:
    ivs = server.client()
    (session,) = ivs.list_stage_sessions(stageArn=values["stage"])["stageSessions"]
    return bool(
        ivs.list_participants(stageArn=values["stage"], sessionId=session["sessionId"], filterByPublished=True)[
            "participants"
        ]
    )


def assert_useful(responses: Mapping[str, Json]) -> None:
    """Assert that the responses show something: names that were given, lists with items."""
    assert responses["CreateStage"]["stage"]["name"] == "first-show"
    assert [token["userId"] for token in responses["CreateStage"]["participantTokens"]] == ["ann", "bob"]
    assert responses["GetParticipant"]["participant"]["userId"] == "ann"
    names = [event["name"] for event in responses["ListParticipantEvents"]["events"]]
    assert names == ["PUBLISH_STARTED", "JOINED"]
    assert responses["ListTagsForResource"]["tags"] == {"team": "blue", "cost": "low"}
    lists = [name for name in responses if name.startswith("List") and name != "ListTagsForResource"]
    empty = [name for name in lists if not next(value for value in responses[name].values() if isinstance(value, list))]
    assert empty == []
