"""schemathesis against the AWS API: `python -m tests.e2e.aws.conformance [--examples N]`.

It sends inputs that are valid, that are at the bounds of a rule, and that break one, to a server whose book holds the
documented example. The requests are signed (`schemathesis_hooks`). The inputs are the same in each run.

Checked are: no 5xx, only declared errors, outputs in the form of the service model, and that each invalid input is
refused with a ValidationException that names a member. A valid input may be refused: the service has rules that the
model does not state.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.e2e.aws.documented_example import write_documented_book
from tests.e2e.aws.openapi_document import openapi_document
from tests.e2e.server import RunningServer, run_server

REPOSITORY = Path(__file__).parents[3]
HOOKS = "tests.e2e.aws.schemathesis_hooks"


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


def run_schemathesis(server: RunningServer, folder: Path, *, examples: int) -> int:
    """Run schemathesis against a server; return its exit code."""
    document = folder / "openapi.json"
    document.write_text(json.dumps(openapi_document()), encoding="utf-8")
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(document), "--url", server.endpoint_url]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", str(examples)]
    command += ["--generation-deterministic", "--exclude-checks", "positive_data_acceptance", "--warnings", "off"]
    environment = {**server.environment, "SCHEMATHESIS_HOOKS": HOOKS, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
