"""The examples of the documentation site in Python, as a user copies them."""

from functools import partial
from pathlib import Path

import pytest

from contrib.site.reference_notes import recorded_responses
from tests.e2e.server import RunningServer
from tests.e2e.site.boto3_program import run_program
from tests.e2e.site.example_sequence import assert_useful, published_media, run_examples
from tests.e2e.site.recorded_responses import record


@pytest.mark.site
def test_every_example_runs_beside_real_media(
    server: RunningServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    _, responses = run_examples(server, run_program, partial(published_media, server))
    assert_useful(responses)


def test_every_example_runs_and_has_the_response_that_the_site_shows() -> None:
    recorded = record()
    assert recorded == recorded_responses(), "after a wanted change: python -m tests.e2e.site.recorded_responses"
    assert_useful(recorded.responses)
