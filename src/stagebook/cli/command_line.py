"""The command line: `stagebook serve`, `stagebook env`, `stagebook keys` and the other commands.

It parses the arguments, calls the command and maps errors to exit codes: 2 for invalid arguments and settings, 1 for
every other failure, 130 after Ctrl-C, 141 when the reader of the output has ended.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from stagebook.cli import (
    conformance_commands,
    key_commands,
    play_command,
    server_commands,
    sessions_commands,
    webhooks_commands,
)
from stagebook.cli.books import check_command, copy_command
from stagebook.cli.cluster import cluster_commands
from stagebook.cli.compositions import compositions_commands
from stagebook.cli.events import events_commands
from stagebook.cli.exit_codes import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_PIPE_CLOSED,
    EXIT_USAGE,
    CommandFailedError,
)
from stagebook.cli.installation import completion_command, doctor_command
from stagebook.cli.installation.version_action import VersionAction
from stagebook.cli.livekit import livekit_commands
from stagebook.config.rules import ConfigError
from stagebook.data_folder.folder_permissions import DataFolderError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. `argv` defaults to the arguments of the process."""
    try:
        try:
            arguments = parser_of_commands().parse_args(argv)
        finally:
            sys.stdout.flush()  # `--version` ends here
        code: int = arguments.run(arguments)
        # Within the try: what is left in the buffer may meet a pipe that is closed.
        sys.stdout.flush()
    except ConfigError as error:
        print(f"stagebook: {error}", file=sys.stderr)
        return EXIT_USAGE
    except (CommandFailedError, DataFolderError) as error:
        print(f"stagebook: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes standard output at its exit, and would report the closed pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE_CLOSED
    return code


def parser_of_commands() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="stagebook",
        description="Open, self-hosted Amazon IVS Real-Time: stages, participants, and the book of their events.",
    )
    parser.add_argument("--version", action=VersionAction)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    server_commands.add_commands(commands)
    key_commands.add_commands(commands)
    events_commands.add_commands(commands)
    sessions_commands.add_commands(commands)
    compositions_commands.add_commands(commands)
    webhooks_commands.add_commands(commands)
    livekit_commands.add_commands(commands)
    cluster_commands.add_commands(commands)
    check_command.add_commands(commands)
    copy_command.add_commands(commands)
    doctor_command.add_commands(commands)
    play_command.add_commands(commands)
    completion_command.add_commands(commands, parser)
    conformance_commands.add_commands(commands)
    return parser
