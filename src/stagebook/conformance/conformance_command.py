"""One run of the suite as the command makes it: the server, the checks, the report, and the exit code.

Credentials and region are those that an AWS SDK would use: the environment, or a profile of the AWS CLI.
"""

import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import botocore.session
import msgspec
from rich.console import Console
from rich.progress import Progress

from stagebook.conformance.check import Check, Cost
from stagebook.conformance.check_outcomes import CheckOutcome, CheckResult
from stagebook.conformance.check_run import CheckRun
from stagebook.conformance.check_suite import all_checks, selected
from stagebook.conformance.model.api_model import load_api_model
from stagebook.conformance.reports.expected_failures import read_expected_failures, unexpected_passes, with_expected
from stagebook.conformance.reports.result_files import json_report, junit_report
from stagebook.conformance.reports.result_table import name_lines, print_results
from stagebook.conformance.service_under_test import ServiceUnderTest
from stagebook.conformance.wire.call_pace import CallPace, aws_rates
from stagebook.conformance.wire.request_writer import Signature
from stagebook.conformance.wire.wire_client import WireClient

EXIT_PASSED = 0
EXIT_FAILED = 1


class ConformanceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a run does. `rate` is in calls per second; None is AWS's rates on hosts of AWS, and no limit elsewhere."""

    endpoint_url: str
    region: str | None = None
    account_id: str | None = None
    cost: Cost = Cost.HARMLESS
    documented_only: bool = False
    patterns: tuple[str, ...] = ()
    max_calls: int = 5_000
    rate: float | None = None
    expect: Path | None = None
    format: str = "table"


class NoCredentialsError(Exception):
    """There is nothing to sign with. The message says what to set."""


def list_checks_of(options: ConformanceOptions) -> int:
    """Print the names of the checks that a run with these options would try. Return the exit code."""
    for line in name_lines(_checks(options)):
        print(line)
    return EXIT_PASSED


def run_conformance(options: ConformanceOptions) -> int:
    """Run the checks, print the results, and return the exit code: 1 if a check failed that is not expected to.

    Raises UnreachableError, UnknownCheckError, NoCredentialsError and OSError. After Ctrl-C the resources are deleted
    and the results printed before KeyboardInterrupt is raised again.
    """
    model = load_api_model()
    checks = _checks(options)
    expected = (
        read_expected_failures(options.expect, known=(check.name for check in all_checks(model)))
        if options.expect
        else frozenset()
    )
    client = WireClient(endpoint_url=options.endpoint_url, signature=_signature(options), pace=_pace(options))
    service = ServiceUnderTest(client, model, run_id=secrets.token_hex(4), account_id=options.account_id)
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("checks", total=len(checks))
        run = CheckRun(service, progress=lambda count: progress.update(task, completed=count))
        left: list[str] = []
        try:
            try:
                run.run(checks)
            finally:
                left = service.delete_all()
        except KeyboardInterrupt:
            _print(options, with_expected(run.results, expected), passes=[], left=left)
            raise
        finally:
            client.close()
    results = with_expected(run.results, expected)
    _print(options, results, passes=unexpected_passes(results, expected), left=left)
    is_failed = bool(left) or any(result.outcome is CheckOutcome.FAILED for result in results)
    return EXIT_FAILED if is_failed else EXIT_PASSED


def _checks(options: ConformanceOptions) -> tuple[Check, ...]:
    return selected(
        all_checks(load_api_model()),
        patterns=options.patterns,
        cost=options.cost,
        documented_only=options.documented_only,
    )


def _signature(options: ConformanceOptions) -> Signature:
    session = botocore.session.get_session()
    found = session.get_credentials()
    if found is None:
        raise NoCredentialsError("no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE")
    region = options.region or session.get_config_variable("region")
    if not region:
        raise NoCredentialsError("no region: give --region, or set AWS_DEFAULT_REGION")
    key = found.get_frozen_credentials()
    return Signature(
        access_key_id=str(key.access_key),
        secret_access_key=str(key.secret_key),
        session_token=key.token or None,
        region=region,
    )


def _pace(options: ConformanceOptions) -> CallPace:
    host = urlsplit(options.endpoint_url).hostname or ""
    is_aws = host.endswith((".amazonaws.com", ".api.aws"))
    rates: Mapping[str, float] = aws_rates() if is_aws and options.rate is None else {}
    return CallPace(
        max_calls=options.max_calls, rate=options.rate, rates=rates, monotonic=time.monotonic, sleep=time.sleep
    )


def _print(options: ConformanceOptions, results: list[CheckResult], *, passes: list[str], left: list[str]) -> None:
    if options.format == "json":
        print(json_report(results, endpoint_url=options.endpoint_url, passes=passes, left=left))
    elif options.format == "junit":
        print(junit_report(results))
    else:
        print_results(Console(), results, passes=passes, left=left)
