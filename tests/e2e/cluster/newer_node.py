"""`python -m tests.e2e.cluster.newer_node MINIMUM serve ...`: `stagebook` with a schema that is one version newer.

The next migration adds a table and a column with a default. MINIMUM is the oldest version that may use the book then.
"""

import sys
from pathlib import Path

from stagebook.book.postgres import postgres_schema
from stagebook.book.postgres.postgres_schema import POSTGRES_MIGRATIONS, PostgresMigration
from stagebook.cli.command_line import main
from tests.e2e.cluster.nodes import Node

VERSION = len(POSTGRES_MIGRATIONS) + 1
_STATEMENTS = "CREATE TABLE newer (id bigint PRIMARY KEY); ALTER TABLE stage ADD COLUMN newer text DEFAULT 'x';"


class NewerNode(Node):
    """A node of the next version, beside which the present one may run."""

    program = (sys.executable, "-m", "tests.e2e.cluster.newer_node", str(VERSION - 1))


class ExcludingNode(Node):
    """A node of a version beside which the present one may not run."""

    program = (sys.executable, "-m", "tests.e2e.cluster.newer_node", str(VERSION))


def use_newer_schema(minimum_version: int) -> None:
    """Let this process have the newer schema."""
    migration = PostgresMigration(statements=_STATEMENTS, minimum_version=minimum_version)
    postgres_schema.migrate.__defaults__ = ((*POSTGRES_MIGRATIONS, migration),)
    postgres_schema.require_schema.__defaults__ = (VERSION,)


if __name__ == "__main__":
    sys.argv[0] = str(Path(sys.executable).with_name("stagebook"))
    use_newer_schema(int(sys.argv.pop(1)))
    sys.exit(main())
