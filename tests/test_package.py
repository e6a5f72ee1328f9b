"""The wheel has the files that are no Python modules."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from stagebook.api.watch.console.console_files import read_assets

ROOT = Path(__file__).parents[1]
ASSETS = "stagebook/api/watch/console/assets/"


def test_the_wheel_has_the_files_of_the_console(tmp_path: Path) -> None:
    # The build writes beside the sources, so it gets a copy, in which the symbolic link to the open client stays one.
    source = tmp_path / "source"
    for folder in ("src", "clients"):
        shutil.copytree(ROOT / folder, source / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    script = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=source, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        packed = {name.removeprefix(ASSETS): wheel.read(name) for name in wheel.namelist() if name.startswith(ASSETS)}
    assert packed == {name: file.body for name, file in read_assets().items()}
