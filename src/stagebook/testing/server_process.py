"""The server process of `serve()`: `python -m stagebook.testing.server_process '{"data": ...}'`.

It does what `stagebook serve --testing --temporary --until-stdin-ends` does, without the rest of the command line,
whose modules take long to import. The argument is a JSON object of settings by name, and `config` for a TOML file;
environment variables are not read.
"""

import gc
import json
import sys
from pathlib import Path


def main() -> int:
    """Serve until standard input ends; return the exit code."""
    # Importing makes hardly any garbage, but the collector would look for it a hundred times.
    gc.disable()
    hide_unused_modules()
    from stagebook.testing.temporary_run import end_with_stdin, temporary_folder

    flags: dict[str, str] = json.loads(sys.argv[1])
    folder = Path(flags["data"])
    end_with_stdin(folder)
    with temporary_folder(folder):
        return _serve(flags)


def hide_unused_modules() -> None:
    """Let structlog not import what it uses if it is installed: colours, which a file does not show, and greenlets."""
    for name in ("colorama", "greenlet", "rich"):
        # None is how Python marks a module that is not to be imported.
        sys.modules[name] = None  # type: ignore[assignment]


def _serve(flags: dict[str, str]) -> int:
    from stagebook.config.rules import ConfigError
    from stagebook.config.sources import load_settings
    from stagebook.server.lifecycle import StartError, serve

    # The modules stay: the collections at the start need not look at their objects.
    gc.freeze()
    gc.enable()
    config = flags.pop("config", None)
    try:
        settings = load_settings(flags=flags, environment={}, config_file=Path(config) if config else None)
        return serve(settings, is_testing=True)
    except (ConfigError, StartError) as error:
        print(f"stagebook: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
