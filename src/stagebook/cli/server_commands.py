"""`stagebook serve`, `stagebook env` and `stagebook demo`."""

import argparse
import shlex
import tempfile
from contextlib import nullcontext
from pathlib import Path

import msgspec

from stagebook.cli.exit_codes import EXIT_OK, CommandFailedError
from stagebook.cli.setting_flags import Commands, add_flag, read_settings
from stagebook.config.settings import SECRET_SETTINGS, SETTINGS
from stagebook.data_folder.secrets import DataFolder


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    serve = commands.add_parser("serve", help="start the server", allow_abbrev=False)
    serve.add_argument("--config", type=Path, metavar="FILE", help="a TOML file of settings")
    serve.add_argument(
        "--testing",
        action="store_true",
        help="let programs on this machine control the clock, participants without media, and faults, over /testing/v1",
    )
    serve.add_argument(
        "--until-stdin-ends",
        action="store_true",
        help="stop when standard input ends: when the program that holds the other end of its pipe is gone",
    )
    serve.add_argument(
        "--temporary",
        action="store_true",
        help="delete the data folder when the server stops; without --data it is a new one for temporary files",
    )
    for setting in SETTINGS.values():
        if setting.name not in SECRET_SETTINGS:
            add_flag(serve, setting)
    serve.set_defaults(run=_serve)

    env = commands.add_parser("env", help="print shell exports that point AWS clients at the server")
    env.add_argument("--config", type=Path, metavar="FILE", help="the TOML file the server was started with")
    add_flag(env, SETTINGS["data"])
    env.set_defaults(run=_env)

    demo = commands.add_parser("demo", help="publish and watch for a few seconds, then list the events")
    demo.add_argument("--endpoint-url", metavar="URL", help="use this server instead of starting one for the demo")
    demo.add_argument("--seconds", type=float, default=5.0, help="how long to publish and watch; default: 5")
    demo.set_defaults(run=_demo)


def _serve(arguments: argparse.Namespace) -> int:
    # Imported late: printing a usage text needs none of its libraries.
    from stagebook.server.lifecycle import StartError, serve
    from stagebook.testing.temporary_run import FolderInUseError, end_with_stdin, temporary_folder

    settings = read_settings(arguments)
    if arguments.temporary and arguments.setting_data is None:
        settings = msgspec.structs.replace(settings, data=tempfile.mkdtemp(prefix="stagebook-"))
    folder = Path(settings.data)
    if arguments.until_stdin_ends:
        end_with_stdin(folder if arguments.temporary else None)
    try:
        with temporary_folder(folder) if arguments.temporary else nullcontext():
            return serve(settings, is_testing=arguments.testing)
    except (StartError, FolderInUseError) as error:
        raise CommandFailedError(str(error)) from error


def _env(arguments: argparse.Namespace) -> int:
    server, access_key = DataFolder(Path(read_settings(arguments).data)).read_server_access()
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
        raise CommandFailedError(f"the demo needs {error.name}: run `pip install 'stagebook[demo]'`") from error
    return run_demo(endpoint_url=arguments.endpoint_url, seconds=arguments.seconds)
