import subprocess
import sys
from pathlib import Path

PROGRAM = """
import gc
import sys

print(__name__, sys.argv[1:], gc.isenabled())
try:
    import rich
except ImportError:
    print("rich is hidden")
"""


def test_a_module_runs_with_its_arguments_without_collections_and_without_rich(tmp_path: Path) -> None:
    (tmp_path / "started_program.py").write_text(PROGRAM, encoding="utf-8")
    words = [sys.executable, "-m", "stagebook.media.worker.worker_start", "started_program", "7", "0"]
    ran = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["__main__ ['7', '0'] False", "rich is hidden"]
