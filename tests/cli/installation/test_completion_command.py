"""`stagebook completion`, with the shells that are on the machine."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stagebook.cli.command_line import main
from stagebook.cli.installation.completion_command import SHELLS
from tests.serving import run_command

COMPLETE = """
source "$1"
COMP_WORDS=("${@:2}")
COMP_CWORD=$(($# - 2))
_shtab_stagebook
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(name="script", scope="module")
def script_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "stagebook.bash"
    path.write_text(run_command("completion", "bash").stdout, encoding="utf-8")
    return path


def completed(script: Path, *words: str, folder: Path) -> set[str]:
    """Return what bash offers for the last of the words."""
    command = ["bash", "-c", COMPLETE, "bash", str(script), "stagebook", *words]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert ended.stderr == ""
    return set(ended.stdout.split())


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash on the path")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("ev",), "events"),
        (("events", "ex"), "export"),
        (("events", "export", "--format", ""), "csv jsonl parquet"),
        (("keys", "create", "--role", "o"), "operator"),
        (("serve", "--media-po"), "--media-port"),
        (("completion", "z"), "zsh"),
        (("serve", "--config", "stagebook.t"), "stagebook.toml"),
        (("serve", "--data", ""), "book"),
    ],
    ids=str,
)
def test_bash_completes(words: tuple[str, ...], offered: str, script: Path, tmp_path: Path) -> None:
    (tmp_path / "stagebook.toml").touch()
    (tmp_path / "book").mkdir()
    assert completed(script, *words, folder=tmp_path) == set(offered.split())


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_a_script_with_the_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(word in script for word in ("stagebook", "events", "export", "media-port"))


@pytest.mark.parametrize("shell", sorted(set(SHELLS) - {"bash"}))
def test_the_shell_reads_its_script(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} on the path")
    path = tmp_path / "completion"
    main(["completion", shell])
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    read = f'autoload -U compinit; compinit -D; eval "$(cat {path})"' if shell == "zsh" else f"source {path}"
    ended = subprocess.run([program, "-c", read], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_other_commands_do_not_load_the_generator() -> None:
    script = (
        "import sys; from stagebook.cli.command_line import main; main(['keys', 'list']); print('shtab' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.split()[-1] == "False"
