"""`stagebook --version`: the version of Stagebook, then those of the libraries that matter in a report of a fault.

The libraries are loaded when the versions are printed. No other command pays for them.
"""

import argparse
from collections.abc import Sequence
from importlib import metadata


class VersionAction(argparse.Action):
    """Prints the versions, one a line, and exits with code 0. The first line is `stagebook` and its version."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(
            option_strings,
            dest,
            nargs=0,
            default=argparse.SUPPRESS,
            help="print the versions of Stagebook and its libraries",
        )

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002 - the signature of argparse
        values: str | Sequence[object] | None,  # noqa: ARG002 - same
        option_string: str | None = None,  # noqa: ARG002 - same
    ) -> None:
        """Print the versions and end the program."""
        from stagebook.diagnosis.library_versions import read_library_versions

        print(f"stagebook {metadata.version('stagebook')}")
        for library in read_library_versions():
            print(f"{library.title} {library.version or f'cannot be used: {library.failure}'}")
        parser.exit()
