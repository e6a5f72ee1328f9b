"""The command line: `stagebook serve`, `env` and `demo`. Thin: it reads arguments, calls, and turns errors into exit
codes (2 for what the caller set wrong, 1 for what the machine refuses)."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from stagebook.config.rules import ConfigError
from stagebook.config.settings import SETTINGS, Setting, Settings
from stagebook.config.sources import describe_type, load_settings
from stagebook.data_folder.secrets import DataFolder, DataFolderError

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except ConfigError as error:
        print(f"stagebook: {error}", file=sys.stderr)
        return EXIT_USAGE
    except DataFolderError as error:
        print(f"stagebook: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stagebook",
        description="Open, self-hosted Amazon IVS Real-Time: stages, participants, and the book of their events.",
    )
    parser.add_argument("--version", action="version", version=f"stagebook {metadata.version('stagebook')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="start the server", allow_abbrev=False)
    serve.add_argument("--config", type=Path, metavar="FILE", help="a TOML file of settings")
    for setting in SETTINGS.values():
        if setting.name != "credentials":
            _add_flag(serve, setting)
    serve.set_defaults(run=_serve)

    env = commands.add_parser("env", help="print shell exports that point AWS clients at the server")
    env.add_argument("--config", type=Path, metavar="FILE", help="the TOML file the server was started with")
    _add_flag(env, SETTINGS["data"])
    env.set_defaults(run=_env)

    demo = commands.add_parser("demo", help="publish and watch for some seconds, then list the events")
    demo.add_argument("--endpoint-url", metavar="URL", help="use this server instead of one made for the demo")
    demo.add_argument("--seconds", type=float, default=5.0, help="how long to publish and watch; default: 5")
    demo.set_defaults(run=_demo)
    return parser


def _add_flag(parser: argparse.ArgumentParser, setting: Setting) -> None:
    default = setting.default if setting.default not in (None, (), {}) else "none"
    told = f"{setting.rule.why} {describe_type(setting).capitalize()}; default: {default}."
    parser.add_argument(
        setting.flag,
        dest=f"setting_{setting.name}",
        metavar=setting.rule.unit or "VALUE",
        help=told.replace("%", "%%"),
    )


def _settings(arguments: argparse.Namespace) -> Settings:
    prefix = "setting_"
    given = {name: text for name, text in vars(arguments).items() if name.startswith(prefix) and text is not None}
    return load_settings(
        flags={name.removeprefix(prefix): text for name, text in given.items()},
        environment=os.environ,
        config_file=arguments.config,
    )


def _serve(arguments: argparse.Namespace) -> int:
    from stagebook.server.lifecycle import StartError, serve  # its libraries are not needed to print a usage text

    try:
        return serve(_settings(arguments))
    except StartError as error:
        print(f"stagebook: {error}", file=sys.stderr)
        return EXIT_FAILED


def _env(arguments: argparse.Namespace) -> int:
    presence, access_key = DataFolder(Path(_settings(arguments).data)).last_announced()
    variables = {
        "AWS_ENDPOINT_URL_IVS_REALTIME": presence.endpoint_url,
        "AWS_ACCESS_KEY_ID": access_key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": access_key.secret_access_key,
        "AWS_REGION": presence.region,
        "AWS_DEFAULT_REGION": presence.region,
    }
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
    return EXIT_OK


def _demo(arguments: argparse.Namespace) -> int:
    try:
        from stagebook.demo import run_demo  # its libraries are an extra: a server does without them
    except ModuleNotFoundError as error:
        print(f"stagebook: the demo needs {error.name}: run `pip install 'stagebook[demo]'`", file=sys.stderr)
        return EXIT_FAILED
    return run_demo(endpoint_url=arguments.endpoint_url, seconds=arguments.seconds)


if __name__ == "__main__":
    sys.exit(main())
