"""`stagebook play` against real servers: without media on one with `--testing`, with media on any."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from stagebook.cli.command_line import main
from stagebook.data_folder.secrets import DataFolder
from tests.serving import ServerProcess

GUIDE = Path(__file__).parents[3] / "docs" / "testing.md"
NO_CREDENTIALS = {"AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true"}

WITH_EVERYTHING = """
title: everything
stages: {room: {title: Room-1, tags: {kind: test}}, annex: {}}
participants:
  host: {stage: room, userId: hanna, attributes: {role: host}}
  guest: {stage: room}
  crowd: {stage: room, count: 5, capabilities: [SUBSCRIBE]}
steps:
  - {at: 0, who: host, do: join}
  - {at: 1s, who: host, do: publish}
  - {at: 2s, who: crowd, do: subscribe, to: host, over: 2s}
  - {at: 3s, who: host, do: start-replication, stage: annex}
  - {at: 4s, who: host, do: stop-replication, stage: annex}
  - {at: 5s, who: guest, do: fail-publish, errorCode: RESOLUTION_EXCEEDED}
  - {at: 6s, who: guest, do: fail-subscribe, errorCode: PUBLISHER_NOT_FOUND}
  - {at: 6500ms, who: guest, do: join}
  - {at: 7s, do: fault, operation: ListParticipantEvents, kind: THROTTLING, times: 9}
  - {at: 8s, who: guest, do: disconnect}
  - {at: 9s, who: crowd, do: leave}
  - {at: 10s, do: advance-clock, by: 25h}
  - {at: 10s, who: host, do: leave}
expect:
  host: [JOINED, PUBLISH_STARTED, REPLICATION_STARTED, REPLICATION_STOPPED, PUBLISH_ERROR:STREAM_DURATION_EXCEEDED,
         PUBLISH_STOPPED, LEFT]
"""

WITH_MEDIA = """
title: real
stages: {room: {}}
participants:
  camera: {stage: room, media: generated}
  viewer: {stage: room, media: generated}
steps:
  - {at: 0, who: viewer, do: join}
  - {at: 0, who: camera, do: publish}
  - {at: 0, who: viewer, do: subscribe, to: camera}
  - {at: 0, who: viewer, do: unsubscribe, to: camera}
  - {at: 0, who: camera, do: unpublish}
  - {at: 0, who: viewer, do: leave}
expect:
  camera: [JOINED, PUBLISH_STARTED, PUBLISH_STOPPED, LEFT]
  viewer: [JOINED, SUBSCRIBE_STARTED, SUBSCRIBE_STOPPED, LEFT]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server") / "data", "--testing") as server:
        yield server


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """What a command has written, and its exit code."""

    code: int
    out: str
    err: str


class PlayCommand:
    """Runs `stagebook play` in this process, with no variables of AWS but those that are given."""

    def __init__(self, capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capture = capture
        self._patch = patch

    def __call__(self, *arguments: str, **variables: str) -> Played:
        with self._patch.context() as patch:
            for name in [name for name in os.environ if name.startswith(("AWS_", "STAGEBOOK_"))]:
                patch.delenv(name)
            for name, value in (NO_CREDENTIALS | variables).items():
                patch.setenv(name, value)
            code = main(["play", *arguments])
        out, err = self._capture.readouterr()
        return Played(code=code, out=out, err=err)


@pytest.fixture
def play(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> PlayCommand:
    return PlayCommand(capsys, monkeypatch)


def credentials(server: ServerProcess) -> dict[str, str]:
    """Return the environment variables with the access key of a server."""
    address, key = DataFolder(server.data).read_server_access()
    return {
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
        "AWS_REGION": address.region,
        "AWS_DEFAULT_REGION": address.region,
    }


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_scenario_without_media_leaves_the_events_that_it_expects(
    server: ServerProcess, play: PlayCommand, tmp_path: Path
) -> None:
    played = play(written(tmp_path, WITH_EVERYTHING), "--fast", "--output", "json", "--endpoint-url", server.url)
    assert played.code == 0, played.err
    document = json.loads(played.out)
    assert set(document["stages"]) == {"room", "annex"}
    assert set(document["participants"]) == {"host", "guest", *(f"crowd-{number}" for number in range(1, 6))}
    assert document["totals"]["SUBSCRIBE_STARTED"] == 5
    names = [event["name"] for event in document["events"]["guest"]]
    assert "PUBLISH_ERROR:RESOLUTION_EXCEEDED" in names
    assert names[-1] == "LEFT"
    assert "10s" not in played.err
    assert "25h" in played.err


def test_what_differs_from_the_expected_events_is_told_and_fails(
    server: ServerProcess, play: PlayCommand, tmp_path: Path
) -> None:
    block = re.search(r"^```yaml\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert block is not None
    text = block[1].replace("  host: [JOINED, PUBLISH_STARTED,", "  host: [JOINED, TOKEN_EXCHANGED,")
    played = play(written(tmp_path, text), "--fast", "--endpoint-url", server.url)
    assert played.code == 1
    documented = "JOINED, PUBLISH_STARTED, PUBLISH_ERROR:BITRATE_EXCEEDED, PUBLISH_STOPPED, LEFT"
    assert "stagebook play: host: expected JOINED, TOKEN_EXCHANGED, " in played.err
    assert f"recorded {documented}\n" in played.err


def test_a_step_that_fails_ends_the_scenario_with_its_position(
    server: ServerProcess, play: PlayCommand, tmp_path: Path
) -> None:
    text = WITH_EVERYTHING.replace("RESOLUTION_EXCEEDED", "NO_SUCH_CODE")
    played = play(written(tmp_path, text), "--fast", "--endpoint-url", server.url)
    assert played.code == 1
    assert "stagebook: steps[5] (00:00:05 guest fail-publish): " in played.err
    assert "NO_SUCH_CODE" in played.err


def test_participants_with_media_publish_and_watch_on_a_server_without_testing(
    play: PlayCommand, tmp_path: Path
) -> None:
    with ServerProcess(tmp_path / "data") as server:
        scenario = written(tmp_path, WITH_MEDIA)
        played = play(scenario, "--output", "json", "--endpoint-url", server.url, **credentials(server))
        assert played.code == 0, played.err
        refused = play("guest-spot", "--endpoint-url", server.url, **credentials(server))
    assert refused.code == 1
    assert "`host` has no media: the server must be started with `stagebook serve --testing`" in refused.err


def test_media_and_a_moved_clock_exclude_each_other(server: ServerProcess, play: PlayCommand, tmp_path: Path) -> None:
    played = play(written(tmp_path, WITH_MEDIA), "--fast", "--endpoint-url", server.url)
    assert played.code == 1
    assert "`camera` sends media in real time: play with --speed" in played.err


def test_without_a_server_a_temporary_one_is_used(play: PlayCommand) -> None:
    played = play("guest-spot")
    assert played.code == 0, played.err
    assert "00:11:00  host" in played.out


def test_the_scenarios_that_come_with_stagebook_are_listed(play: PlayCommand) -> None:
    listed = play("--list").out
    assert [line.split()[0] for line in listed.splitlines()] == [
        "flaky-phone",
        "guest-spot",
        "thousand-viewers",
        "town-hall",
    ]
