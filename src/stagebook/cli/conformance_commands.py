"""`stagebook conformance`: the rules of the IVS Real-Time API as checks against any server.

The module that does the work is imported late: the other commands need none of its libraries.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stagebook.cli.events.event_flags import positive
from stagebook.cli.exit_codes import CommandFailedError
from stagebook.cli.setting_flags import Commands

if TYPE_CHECKING:
    from stagebook.conformance.conformance_command import ConformanceOptions

ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL_IVS_REALTIME"


def add_commands(commands: Commands) -> None:
    """Add the command of this module."""
    conformance = commands.add_parser(
        "conformance", help="check whether a server keeps the rules of the IVS Real-Time API"
    )
    conformance.add_argument(
        "--endpoint-url", metavar="URL", help=f"the server to check; default: {ENDPOINT_VARIABLE} of the environment"
    )
    conformance.add_argument("--region", metavar="NAME", help="the region of the signatures")
    conformance.add_argument("--account-id", metavar="ID", help="the account; default: that of the first ARN found")
    conformance.add_argument(
        "--creates", action="store_true", help="also run checks that make resources; they are deleted at the end"
    )
    conformance.add_argument(
        "--composes", action="store_true", help="also run checks that start compositions, for some seconds"
    )
    conformance.add_argument(
        "--media",
        action="store_true",
        help="also run checks in which participants publish and watch; needs stagebook[demo]",
    )
    conformance.add_argument(
        "--documented-only", action="store_true", help="only rules that AWS's documentation or service model states"
    )
    conformance.add_argument(
        "--select", action="append", default=[], metavar="PATTERN", help="names like 'ListStages.*'; may be repeated"
    )
    conformance.add_argument("--max-calls", type=positive, default=5_000, metavar="N", help="default: %(default)s")
    conformance.add_argument(
        "--rate", type=_rate, metavar="N", help="calls per second; default: half of AWS's quotas on AWS, else unlimited"
    )
    conformance.add_argument("--expect", type=Path, metavar="FILE", help="names of checks that are known to fail there")
    conformance.add_argument("--format", choices=("table", "json", "junit"), default="table")
    conformance.add_argument("--list", action="store_true", help="print the names of the checks and send nothing")
    conformance.set_defaults(run=_conformance)


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate <= 10_000:
        raise argparse.ArgumentTypeError("must be a number above 0 and at most 10000")
    return rate


def _conformance(arguments: argparse.Namespace) -> int:
    from stagebook.conformance.check_suite import UnknownCheckError
    from stagebook.conformance.conformance_command import NoCredentialsError, list_checks_of, run_conformance
    from stagebook.conformance.wire.wire_client import UnreachableError

    try:
        options = _options(arguments)
        return list_checks_of(options) if arguments.list else run_conformance(options)
    except (UnknownCheckError, NoCredentialsError, UnreachableError, OSError) as error:
        raise CommandFailedError(str(error)) from error


def _options(arguments: argparse.Namespace) -> "ConformanceOptions":
    from stagebook.conformance.check import Cost
    from stagebook.conformance.conformance_command import ConformanceOptions

    endpoint_url = arguments.endpoint_url or os.environ.get(ENDPOINT_VARIABLE, "")
    if not arguments.list and (
        urlsplit(endpoint_url).scheme not in {"http", "https"} or not urlsplit(endpoint_url).hostname
    ):
        raise CommandFailedError(f"give --endpoint-url, or set {ENDPOINT_VARIABLE}: an http or https URL")
    chosen = ((Cost.MEDIA, arguments.media), (Cost.COMPOSES, arguments.composes), (Cost.CREATES, arguments.creates))
    cost = next((cost for cost, is_chosen in chosen if is_chosen), Cost.HARMLESS)
    return ConformanceOptions(
        endpoint_url=endpoint_url,
        region=arguments.region,
        account_id=arguments.account_id,
        # All checks are listed, whatever they cost.
        cost=Cost.MEDIA if arguments.list else cost,
        documented_only=arguments.documented_only,
        patterns=tuple(arguments.select),
        max_calls=arguments.max_calls,
        rate=arguments.rate,
        expect=arguments.expect,
        format=arguments.format,
    )
