"""The command line: `stagebook serve`, `stagebook env` and `stagebook demo`.

It parses the arguments, calls the command and maps errors to exit codes: 2 for invalid arguments and settings, 1 for
every other failure, 130 after Ctrl-C.
"""

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
from stagebook.data_folder.folder_permissions import DataFolderError
from stagebook.data_folder.secrets import DataFolder

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. `argv` defaults to the arguments of the process."""
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

    demo = commands.add_parser("demo", help="publish and watch for a few seconds, then list the events")
    demo.add_argument("--endpoint-url", metavar="URL", help="use this server instead of starting one for the demo")
    demo.add_argument("--seconds", type=float, default=5.0, help="how long to publish and watch; default: 5")
    demo.set_defaults(run=_demo)
    return parser


def _add_flag(parser: argparse.ArgumentParser, setting: Setting) -> None:
    default = setting.default if setting.default not in (None, (), {}) else "none"
    text = f"{setting.rule.description} {describe_type(setting).capitalize()}; default: {default}."
    parser.add_argument(
        setting.flag,
        dest=f"setting_{setting.name}",
        metavar=setting.rule.unit or "VALUE",
        help=text.replace("%", "%%"),
    )


def _settings(arguments: argparse.Namespace) -> Settings:
    prefix = "setting_"
    flags = {name: value for name, value in vars(arguments).items() if name.startswith(prefix) and value is not None}
    return load_settings(
        flags={name.removeprefix(prefix): value for name, value in flags.items()},
        environment=os.environ,
        config_file=arguments.config,
    )


def _serve(arguments: argparse.Namespace) -> int:
    # Imported late: printing a usage text needs none of its libraries.
    from stagebook.server.lifecycle import StartError, serve

    try:
        return serve(_settings(arguments))
    except StartError as error:
        print(f"stagebook: {error}", file=sys.stderr)
        return EXIT_FAILED


def _env(arguments: argparse.Namespace) -> int:
    server, access_key = DataFolder(Path(_settings(arguments).data)).read_server_access()
    variables = {
        "AWS_ENDPOINT_URL_IVS_REALTIME": server.endpoint_url,
        "AWS_ACCESS_KEY_ID": access_key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": access_key.secret_access_key,
        # A token of other credentials in the environment would be sent with this key, which has none, and be refused.
        "AWS_SESSION_TOKEN": "",
        "AWS_REGION": server.region,
        "AWS_DEFAULT_REGION": server.region,
    }
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
    return EXIT_OK


def _demo(arguments: argparse.Namespace) -> int:
    try:
        # Imported late: its libraries are an optional extra.
        from stagebook.demo import run_demo
    except ModuleNotFoundError as error:
        print(f"stagebook: the demo needs {error.name}: run `pip install 'stagebook[demo]'`", file=sys.stderr)
        return EXIT_FAILED
    return run_demo(endpoint_url=arguments.endpoint_url, seconds=arguments.seconds)


if __name__ == "__main__":
    sys.exit(main())
