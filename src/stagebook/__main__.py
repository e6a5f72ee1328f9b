"""`python -m stagebook` runs the command line without its installed script."""

import gc
import sys


def main() -> int:
    """Run the command of the arguments; return its exit code."""
    # Imports make objects and hardly any garbage, so a hundred collections during them would find nothing.
    gc.disable()
    from stagebook.cli.command_line import main as run_command

    # The modules stay until the exit, so collections skip their objects.
    gc.freeze()
    gc.enable()
    return run_command()


if __name__ == "__main__":
    sys.exit(main())
