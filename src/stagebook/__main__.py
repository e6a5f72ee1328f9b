"""`python -m stagebook` runs the command line without its installed script."""

import gc
import sys


def main() -> int:
    """Run the command of the arguments; return its exit code."""
    # Importing makes hardly any garbage, but the collector would look for it a hundred times.
    gc.disable()
    from stagebook.cli.command_line import main as run_command

    # The modules stay: no collection need look at their objects.
    gc.freeze()
    gc.enable()
    return run_command()


if __name__ == "__main__":
    sys.exit(main())
