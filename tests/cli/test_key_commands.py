"""`stagebook keys`: what the commands print, and what they refuse."""

import json
import re
from pathlib import Path

import pytest

from stagebook.api.watch.access.bearer_key import digest_of
from stagebook.cli.command_line import main
from stagebook.data_folder.bearer_key_file import BearerKeyFile
from stagebook.data_folder.secrets import DataFolder
from stagebook.server.system_clock import SystemRandomness


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    folder.access_key(account_id="111122223333", randomness=SystemRandomness())
    return folder.path


def create(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["keys", "create", "--data", str(folder), *arguments]) == 0
    return capsys.readouterr().out.strip()


def test_a_key_is_shown_once_and_kept_hashed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = create(folder, capsys, "--role", "reader", "--name", "dashboard")
    (key,) = BearerKeyFile(folder).read()
    assert (key.digest, key.name, key.account_id, key.expires_ms) == (
        digest_of(text),
        "dashboard",
        "111122223333",
        None,
    )
    assert text.split("_")[2] not in (folder / "bearer-keys.json").read_text(encoding="utf-8")
    assert main(["keys", "list", "--data", str(folder)]) == 0
    listed = capsys.readouterr().out
    assert text.split("_")[1] in listed
    assert text.split("_")[2] not in listed


@pytest.mark.parametrize("named_by", ["id", "text"])
def test_a_key_is_revoked_by_its_id_or_itself(folder: Path, capsys: pytest.CaptureFixture[str], named_by: str) -> None:
    text = create(folder, capsys, "--role", "operator")
    named = text if named_by == "text" else text.split("_")[1]
    assert main(["keys", "revoke", named, "--data", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert text not in printed
    assert BearerKeyFile(folder).read() == ()
    assert main(["keys", "revoke", named, "--data", str(folder)]) == 1
    assert "no such key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("expires", "lifetime_ms"), [("30d", 30 * 86_400_000), ("12h", 12 * 3_600_000), ("90m", 90 * 60_000)]
)
def test_a_duration_is_counted_from_now(
    folder: Path, capsys: pytest.CaptureFixture[str], expires: str, lifetime_ms: int
) -> None:
    create(folder, capsys, "--role", "reader", "--expires", expires)
    (key,) = BearerKeyFile(folder).read()
    assert key.expires_ms is not None
    assert 0 <= key.created_ms - (key.expires_ms - lifetime_ms) < 60_000


def test_an_expiry_can_be_a_time(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create(folder, capsys, "--role", "reader", "--expires", "2999-01-31T12:00:00Z", "--account", "999999999999")
    (key,) = BearerKeyFile(folder).read()
    assert (key.expires_ms, key.account_id) == (32_474_779_200_000, "999999999999")


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["--role", "admin"], "invalid choice"),
        ([], "--role"),
        (["--role", "reader", "--account", "12"], "12 digits"),
        (["--role", "reader", "--name", "x" * 65], "64 printable characters"),
        (["--role", "reader", "--name", "a\nb"], "64 printable characters"),
        (["--role", "reader", "--expires", "soon"], "must be like 30d"),
        (["--role", "reader", "--expires", "0d"], "must be like 30d"),
        (["--role", "reader", "--expires", "2999-01-01"], "must be like 30d"),
        (["--role", "reader", "--expires", "2020-01-01T00:00:00Z"], "in the future"),
    ],
)
def test_a_wrong_argument_ends_with_code_2_and_names_the_rule(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], rule: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["keys", "create", "--data", str(folder), *arguments])
    assert ended.value.code == 2
    assert re.search(re.escape(rule), capsys.readouterr().err)
    assert BearerKeyFile(folder).read() == ()


def test_a_missing_data_folder_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "create", "--role", "reader", "--data", str(tmp_path / "none")]) == 1
    assert "no data folder" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_the_list_for_programs_has_no_digest(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = create(folder, capsys, "--role", "reader", "--name", "a b", "--expires", "2999-01-31T12:00:00Z")
    assert main(["keys", "list", "--output", "json", "--data", str(folder)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    shown = json.loads(line)
    assert shown.pop("createdAt").endswith("Z")
    assert shown == {
        "id": text.split("_")[1],
        "role": "reader",
        "accountId": "111122223333",
        "name": "a b",
        "expiresAt": "2999-01-31T12:00:00.000Z",
    }
