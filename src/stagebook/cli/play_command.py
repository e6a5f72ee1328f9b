"""`stagebook play`: plays a scenario on a server."""

import argparse
import asyncio
import os
import sys
from contextlib import AsyncExitStack

from stagebook.cli.exit_codes import EXIT_FAILED, EXIT_OK, CommandFailedError
from stagebook.cli.setting_flags import Commands

ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_IVS_REALTIME", "AWS_ENDPOINT_URL")


def add_commands(commands: Commands) -> None:
    """Add the command of this module."""
    play = commands.add_parser("play", help="play a scenario: participants come, publish, fail and leave")
    play.add_argument("scenario", nargs="?", help="a YAML file, or a name of --list")
    play.add_argument("--list", action="store_true", help="list the scenarios that come with Stagebook")
    play.add_argument(
        "--endpoint-url",
        metavar="URL",
        help="the server; default: that of AWS_ENDPOINT_URL_IVS_REALTIME, or a temporary one with --testing",
    )
    play.add_argument("--region", metavar="REGION", help="default: that of the environment of AWS clients")
    pace = play.add_mutually_exclusive_group()
    pace.add_argument("--speed", type=_speed, metavar="N", help="seconds of the scenario in each second; default: 1")
    pace.add_argument(
        "--fast",
        action="store_true",
        help="move the clock of the server instead of waiting; the default on a temporary server",
    )
    play.add_argument("--output", choices=("text", "json"), default="text", help="json: what was left on the server")
    play.set_defaults(run=_play)


def _speed(text: str) -> float:
    speed = float(text)
    if not 0.01 <= speed <= 10_000:
        raise argparse.ArgumentTypeError("must be 0.01 to 10,000")
    return speed


def _play(arguments: argparse.Namespace) -> int:
    # Imported late: the libraries of scenarios are an optional extra.
    try:
        from stagebook.scenarios.played_server import PlayFailedError
        from stagebook.scenarios.scenario_file import ScenarioError, read_scenario, ready_scenarios
    except ModuleNotFoundError as error:
        raise CommandFailedError(f"scenarios need {error.name}: run `pip install 'stagebook[testing]'`") from error
    try:
        if arguments.list:
            for name in ready_scenarios():
                print(f"{name:<18} {read_scenario(name).description}")
            return EXIT_OK
        if arguments.scenario is None:
            raise CommandFailedError("name a scenario; `stagebook play --list` lists those that come with Stagebook")
        return asyncio.run(_play_scenario(arguments))
    except (ScenarioError, PlayFailedError) as error:
        raise CommandFailedError(str(error)) from error


async def _play_scenario(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from stagebook.scenarios.pace import ClockPace, WaitingPace
    from stagebook.scenarios.play_report import PlayReport, playback_json
    from stagebook.scenarios.played_server import PlayedServer
    from stagebook.scenarios.scenario_file import read_scenario
    from stagebook.scenarios.scenario_run import ScenarioRun
    from stagebook.testing import serve

    scenario = read_scenario(arguments.scenario)
    is_json = arguments.output == "json"
    report = PlayReport(scenario, Console(stderr=is_json, highlight=False))
    endpoint_url = arguments.endpoint_url or next(filter(None, map(os.environ.get, ENDPOINT_VARIABLES)), None)
    async with AsyncExitStack() as stack:
        is_fast = arguments.fast or (endpoint_url is None and arguments.speed is None)
        if endpoint_url is None:
            endpoint_url = stack.enter_context(serve()).url
        server = await stack.enter_async_context(PlayedServer(endpoint_url=endpoint_url, region=arguments.region))
        await server.find_testing_api()
        pace = ClockPace(server) if is_fast else WaitingPace(speed=arguments.speed or 1.0)
        run = ScenarioRun(scenario, server=server, pace=pace, on_step=report.show_step)
        playback = await run.play()
    if is_json:
        sys.stdout.buffer.write(playback_json(playback, report.totals) + b"\n")
    else:
        report.show_events(playback)
    differences = playback.differences(scenario)
    for difference in differences:
        print(f"stagebook play: {difference}", file=sys.stderr)
    return EXIT_FAILED if differences else EXIT_OK
