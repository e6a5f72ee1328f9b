"""The documented example, imported by the documented command: the AWS CLI prints the documented text.

The CLI formats what the server answers. It needs `cli_timestamp_format` for the documented form of times, and a model
with sorted members for the documented order of members, which is that of an earlier model.
"""

import json
import re
import runpy
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.e2e.aws.aws_cli import PAGES, TIMEOUT_SECONDS
from tests.e2e.server import Client, RunningServer, run_server
from tests.serving import COMMAND, clean_environment

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "documented-events"
README = (EXAMPLE / "README.md").read_text(encoding="utf-8")
PAGE = (PAGES / "list-participant-events.rst").read_text(encoding="utf-8")
DOCUMENTED_TEXT = (
    textwrap.dedent(PAGE.partition("Output::\n\n")[2].partition("\nFor more information")[0]).rstrip() + "\n"
)
_CONTINUED = re.compile(r"\\\n\s*")


def commands(program: str, text: str) -> list[list[str]]:
    """Return the commands of a program in a text, as words without the program."""
    joined = _CONTINUED.sub(" ", text)
    return [shlex.split(line)[1:] for line in joined.splitlines() if line.startswith(f"{program} ")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server on the data folder that the command in the example's README has made."""
    data = tmp_path_factory.mktemp("imported") / "data"
    words = [word.replace("documented-data", str(data)) for word in commands("stagebook", README)[0]]
    subprocess.run([*COMMAND, *words], cwd=ROOT, env=clean_environment(), check=True, timeout=TIMEOUT_SECONDS)
    with run_server(data) as running:
        yield running


def printed(server: RunningServer, folder: Path, **variables: str) -> str:
    """Return what the documented command prints with the configuration that the example's README makes."""
    environment = {**server.environment, "AWS_CONFIG_FILE": str(folder / "config"), "AWS_PAGER": "", **variables}
    program = str(Path(sys.executable).with_name("aws"))
    configure, documented = commands("aws", README)
    documented_by_aws = shlex.split(_CONTINUED.sub(" ", PAGE.partition("::\n\n")[2].partition("\n\n")[0].strip()))
    assert documented == documented_by_aws[1:]
    for words in (configure, documented):
        completed = subprocess.run(
            [program, *words], env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True
        )
    return completed.stdout


def test_the_cli_prints_the_documented_text(server: RunningServer, tmp_path: Path) -> None:
    runpy.run_path(str(EXAMPLE / "sorted_members.py"))["write_sorted_model"](tmp_path / "models")
    assert printed(server, tmp_path, AWS_DATA_PATH=str(tmp_path / "models")) == DOCUMENTED_TEXT


def test_sorted_by_a_pipe_its_output_is_the_documented_text(server: RunningServer, tmp_path: Path) -> None:
    sort = [sys.executable, "-m", "json.tool", "--sort-keys"]
    text = printed(server, tmp_path)
    assert text != DOCUMENTED_TEXT
    assert subprocess.run(sort, input=text, capture_output=True, text=True, check=True).stdout == DOCUMENTED_TEXT


def test_the_file_of_the_example_is_the_documented_text() -> None:
    assert (EXAMPLE / "list-participant-events.json").read_text(encoding="utf-8") == DOCUMENTED_TEXT


def test_the_readme_of_the_project_shows_the_same() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## Import a book")[2].partition("\n## ")[0]
    assert DOCUMENTED_TEXT in section
    shown = commands("stagebook", section.replace("$ ", ""))
    assert shown == commands("stagebook", README)[:2]


def test_the_aws_api_reads_what_was_imported(server: RunningServer) -> None:
    ivs: Client = server.client()
    words = commands("aws", README)[1]
    stage_arn, session_id, participant_id = words[3], words[5], words[7]
    (session,) = ivs.list_stage_sessions(stageArn=stage_arn)["stageSessions"]
    where = {"stageArn": stage_arn, "sessionId": session_id}
    (listed,) = ivs.list_participants(**where)["participants"]
    got = ivs.get_participant(**where, participantId=participant_id)["participant"]
    assert session["sessionId"] == session_id
    assert session["endTime"] - session["startTime"] == timedelta(minutes=5, seconds=54)
    assert (listed["state"], listed["published"]) == (got["state"], got["published"]) == ("DISCONNECTED", True)
    assert listed["firstJoinTime"] == session["startTime"]
    assert "activeSessionId" not in ivs.get_stage(arn=stage_arn)["stage"]


def test_a_server_closes_what_an_import_has_left_open(tmp_path: Path) -> None:
    """The source lists PUBLISH_STARTED before JOINED, and the participant has not left."""
    document = json.loads(DOCUMENTED_TEXT)
    document["events"] = document["events"][2:]
    source = tmp_path / "open.json"
    source.write_text(json.dumps(document), encoding="utf-8")
    words = [word.replace("documented-data", str(tmp_path / "data")) for word in commands("stagebook", README)[0]]
    words[2] = str(source)
    subprocess.run([*COMMAND, *words], env=clean_environment(), check=True, timeout=TIMEOUT_SECONDS)
    with run_server(tmp_path / "data") as running:
        aws_words = commands("aws", README)[1]
        where = {"stageArn": aws_words[3], "sessionId": aws_words[5], "participantId": aws_words[7]}
        events = running.client().list_participant_events(**where)["events"]
    assert [event["name"] for event in events] == ["LEFT", "PUBLISH_STOPPED", "JOINED", "PUBLISH_STARTED"]
