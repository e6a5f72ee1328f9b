"""`python -m bench [PART ...] [--write FILE]`: run some or all parts and print their tables."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import machine
from bench.appends.run import measure_appends
from bench.forwarder.run import measure_forwarder
from bench.ingest.run import measure_ingest
from bench.page.run import measure_page
from bench.report import Part, aims_table, document, replace_measured, verdict
from stagebook.server.logs import configure_logging

PARTS: dict[str, Callable[[Path], Part]] = {
    "page": measure_page,
    "appends": measure_appends,
    "forwarder": measure_forwarder,
    "ingest": measure_ingest,
}
WORK_FOLDER = Path(".bench")


def main() -> int:
    """Run what was asked for. Books are built in a folder beside the source: /tmp may be no disk."""
    arguments = _parse()
    machine.require_linux()
    configure_logging(level="warning", form="text")
    WORK_FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK_FOLDER) as folder:
        described = machine.describe_machine(Path(folder))
        print(described, flush=True)
        parts = []
        for name in arguments.parts or PARTS:
            part = PARTS[name](Path(folder))
            print(f"\n{part.markdown()}", flush=True)
            parts.append(part)
    aims = [aim for part in parts for aim in part.aims]
    print(f"\n## Aims\n\n{aims_table(aims).markdown()}\n\n{verdict(aims)}")
    if arguments.write is not None:
        page = arguments.write.read_text(encoding="utf-8")
        arguments.write.write_text(replace_measured(page, document(described, parts)), encoding="utf-8")
    return 0


def _parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Measure Stagebook on this machine, about five minutes.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all of them by default")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables between the marks of this page")
    arguments = parser.parse_args(words)
    unknown = [name for name in arguments.parts if name not in PARTS]
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
