"""Runs of the suite in the process of the tests, against real servers."""

import time
from collections.abc import Mapping

from stagebook.conformance.check import Cost
from stagebook.conformance.check_outcomes import CheckOutcome, CheckResult
from stagebook.conformance.check_run import CheckRun
from stagebook.conformance.check_suite import all_checks, selected
from stagebook.conformance.model.api_model import load_api_model
from stagebook.conformance.service_under_test import ServiceUnderTest
from stagebook.conformance.wire.call_pace import CallPace
from stagebook.conformance.wire.request_writer import Signature
from stagebook.conformance.wire.wire_client import WireClient
from tests.e2e.server import ACCOUNT_ID, REGION, RunningServer

MODEL = load_api_model()
CHECKS = all_checks(MODEL)


def service_of(server: RunningServer, *, endpoint_url: str = "", max_calls: int = 100_000) -> ServiceUnderTest:
    """Return the view that a run has of a server, or of the proxy at `endpoint_url` in front of it."""
    signature = Signature(
        access_key_id=server.key.access_key_id, secret_access_key=server.key.secret_access_key, region=REGION
    )
    pace = CallPace(max_calls=max_calls, monotonic=time.monotonic, sleep=time.sleep)
    client = WireClient(endpoint_url=endpoint_url or server.endpoint_url, signature=signature, pace=pace)
    return ServiceUnderTest(client, MODEL, run_id="tests", account_id=ACCOUNT_ID)


def run_checks(
    server: RunningServer, *patterns: str, cost: Cost = Cost.CREATES, endpoint_url: str = ""
) -> Mapping[str, CheckResult]:
    """Run the checks with these names, and delete what they made. Return the results by name."""
    service = service_of(server, endpoint_url=endpoint_url)
    run = CheckRun(service)
    try:
        run.run(selected(CHECKS, patterns=patterns, cost=cost, documented_only=False))
    finally:
        left = service.delete_all()
        service.client.close()
    # Behind a proxy that corrupts ARNs, nothing can be deleted.
    assert endpoint_url or left == []
    return {result.name: result for result in run.results}


def failed(results: Mapping[str, CheckResult]) -> set[str]:
    """Return the names of the checks that failed."""
    return {name for name, result in results.items() if result.outcome is CheckOutcome.FAILED}
