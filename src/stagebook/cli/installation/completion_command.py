"""`stagebook completion bash|zsh|tcsh|fish`: the script with which a shell completes the commands and their flags.

shtab makes it from the argument parser, so it has every command, flag and choice. It is loaded by this command alone.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from stagebook.cli.exit_codes import EXIT_OK
from stagebook.cli.setting_flags import Commands

SHELLS = ("bash", "zsh", "tcsh", "fish")
_FOLDER_DESTINATIONS = frozenset({"setting_data"})
_FILE_DESTINATIONS = frozenset({"setting_rtmps_certificate", "setting_rtmps_private_key"})


def add_commands(commands: Commands, parser: argparse.ArgumentParser) -> None:
    """Add the command of this module. `parser` is the parser of all commands, which the script is made from."""
    completion = commands.add_parser("completion", help="print the script that completes commands in a shell")
    completion.add_argument("shell", choices=SHELLS, help="the shell that reads the script")
    completion.set_defaults(run=lambda arguments: _print_script(parser, arguments.shell))


def _print_script(parser: argparse.ArgumentParser, shell: str) -> int:
    import shtab

    for action in _all_actions(parser):
        if action.dest in _FOLDER_DESTINATIONS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]  # shtab reads this attribute
        elif action.type is Path or action.metavar == "FILE" or action.dest in _FILE_DESTINATIONS:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # same
    print(shtab.complete(parser, shell=shell))
    return EXIT_OK


def _all_actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the arguments of a parser and of the commands below it."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _all_actions(command)
