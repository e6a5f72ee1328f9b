"""schemathesis against the watch API: `python -m tests.e2e.watch.conformance [--examples N]`.

It reads the OpenAPI document that the server serves, and sends inputs that are valid, that are at the bounds of a rule,
and that break one, with an operator's key, to a server whose book holds the documented example. The inputs are the same
in each run.

Checked are: no 5xx, only declared statuses and content types, bodies of the declared schemas, 405 for other methods,
401 without a key, and that each invalid input is refused. A valid input may be refused: it may name a resource that
does not exist. Streams that never end are left out: `test_openapi_of_a_server` sends them invalid inputs.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.e2e.aws.documented_example import write_documented_book
from tests.e2e.server import RunningServer, run_server
from tests.e2e.watch.bearer import create_key, wait_for_status

PHASES = "examples,coverage,fuzzing"
EXCLUDED_CHECKS = "positive_data_acceptance"


def main() -> int:
    """Run schemathesis; return its exit code, or 1 if the server logged an error."""
    parser = argparse.ArgumentParser(prog="conformance", description=__doc__)
    parser.add_argument("--examples", type=int, default=30, help="random inputs for each operation")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        write_documented_book(data)
        with run_server(data) as server:
            code = run_schemathesis(server, Path(folder), examples=arguments.examples)
            has_error = "level=error" in server.log
            if has_error:
                print(server.log)
    return 1 if has_error else code


def run_schemathesis(server: RunningServer, folder: Path, *, examples: int, phases: str = PHASES) -> int:
    """Run schemathesis against a server; return its exit code. `folder` is its working directory."""
    key = create_key(server, "operator")
    wait_for_status(server, "/watch/v1/me", key=key, status=200)
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.endpoint_url}/watch/v1/openapi.json"]
    command += ["--header", f"Authorization: Bearer {key}", "--phases", phases, "--max-examples", str(examples)]
    command += ["--generation-deterministic", "--exclude-checks", EXCLUDED_CHECKS, "--warnings", "off"]
    command += ["--exclude-path-regex", "/stream$"]
    return subprocess.run(command, cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
