"""schemathesis against the testing API: `python -m tests.e2e.testing.conformance [--examples N]`.

It reads the OpenAPI document that the server serves, and sends inputs that are valid, that are at the bounds of a rule,
and that break one. The inputs are the same in each run.

Checked are: no 5xx, only declared statuses and content types, bodies of the declared schemas, 405 for other
methods, and that each invalid input is refused. A valid input may be refused: a clock does not go back,
and a participant may not exist.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.serving import ServerProcess

PHASES = "examples,coverage,fuzzing"
EXCLUDED_CHECKS = "positive_data_acceptance"


def main() -> int:
    """Run schemathesis; return its exit code, or 1 if the server logged an error."""
    parser = argparse.ArgumentParser(prog="conformance", description=__doc__)
    parser.add_argument("--examples", type=int, default=30, help="random inputs for each operation")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ServerProcess(Path(folder) / "data", "--testing") as server:
        code = run_schemathesis(server, Path(folder), examples=arguments.examples)
        has_error = "level=error" in server.output
        if has_error:
            print(server.output)
    return 1 if has_error else code


def run_schemathesis(server: ServerProcess, folder: Path, *, examples: int, phases: str = PHASES) -> int:
    """Run schemathesis against a server; return its exit code. `folder` is its working directory."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/testing/v1/openapi.json"]
    command += ["--phases", phases, "--max-examples", str(examples)]
    command += ["--generation-deterministic", "--exclude-checks", EXCLUDED_CHECKS, "--warnings", "off"]
    return subprocess.run(command, cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
