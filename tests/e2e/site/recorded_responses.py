"""The responses to the examples, as the documentation site shows them: docs/reference/responses.json.

The server has a frozen clock and ids that follow from a seed, so the same responses come each time, and a test compares
them with the file. `python -m tests.e2e.site.recorded_responses` writes the file.
"""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from contrib.site.reference_notes import FOLDER, Example, RecordedResponses
from contrib.site.service_facts import MODEL
from stagebook.api.aws.rest_json.service_model import Location
from stagebook.testing import StagebookServer, serve
from tests.e2e.site.boto3_program import run_program
from tests.e2e.site.example_sequence import Json, run_examples, write_files

START = datetime(2030, 1, 1, 12, tzinfo=UTC)
SEED = 1
TOKEN = "eyJhbGciOiJFUzM4NCIsInR5..."
"""What the site shows in place of a token, whose signature differs between servers."""

_STREAM_KEY = re.compile(r"(?<=_)[A-Za-z0-9]{30}$")
"""The secret part of a stream key."""

HOST = "127.0.0.1:8080"
ENCODER_ADDRESSES = {
    "rtmp_public_url": "rtmp://127.0.0.1:1935/app/",
    "rtmps_public_url": "rtmps://127.0.0.1:1936/app/",
}
"""The addresses of a server with its default settings, which the endpoints of stages have."""


def record() -> RecordedResponses:
    """Run all examples on a new server; return what the site shows."""
    with (
        serve(**ENCODER_ADDRESSES) as server,
        TemporaryDirectory() as folder,
        chdir(folder),
        server.patched_environment(),
    ):
        write_files(Path(folder))
        server.clock.freeze(START)
        server.seed(SEED)

        def run(example: Example, values: Mapping[str, str]) -> Json:
            server.clock.advance(seconds=1)
            with redirect_stdout(io.StringIO()):
                return run_program(example, values)

        values, responses = run_examples(server, run, lambda values: _published(server, values))
        del values["token"]
        host = server.environment()["AWS_ENDPOINT_URL_IVS_REALTIME"].removeprefix("http://")
    shown = {operation: _shown(response, operation) for operation, response in responses.items()}
    text = msgspec.json.encode({"values": values, "responses": shown}).replace(host.encode(), HOST.encode())
    return msgspec.json.decode(text, type=RecordedResponses)


@contextmanager
def _published(server: StagebookServer, values: Mapping[str, str]) -> Iterator[None]:
    """The participant of the token publishes, and another one watches; both without media."""
    publisher = server.participant(token=values["token"])
    viewer = server.participant(values["stage"], user_id="bob")
    publisher.join()
    server.clock.advance(seconds=2)
    publisher.publish()
    viewer.subscribe(publisher)
    yield


def _shown(response: Json, operation: str) -> Json:
    """Return a response as JSON of the API: without response headers, with times as text and tokens left out."""
    if isinstance(response, str):
        return response
    headers = {
        member.name for member in MODEL.operations[operation].output.members if member.location is Location.HEADER
    }
    return {name: _json(value) for name, value in response.items() if name not in {*headers, "ResponseMetadata"}}


def _json(value: Json) -> Json:
    match value:
        case dict():
            return {name: _json(item) for name, item in value.items()}
        case list():
            return [_json(item) for item in value]
        case datetime():
            return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
        case str() if value.startswith("eyJ"):
            return TOKEN
        case str():
            return _STREAM_KEY.sub("...", value)
        case _:
            return value


if __name__ == "__main__":
    text = msgspec.json.format(msgspec.json.encode(record()), indent=2)
    (FOLDER / "responses.json").write_bytes(text + b"\n")
