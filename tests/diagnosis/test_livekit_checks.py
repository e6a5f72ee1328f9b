"""The check of LiveKit by `stagebook doctor`."""

import asyncio

import pytest

from stagebook.config.settings import Settings
from stagebook.diagnosis.finding import Severity
from stagebook.diagnosis.livekit_checks import NO_EXTRA, LiveKitFacts, judge_livekit, read_livekit_facts
from tests.media.livekit.fake_livekit import KEY, running_fake


def settings(url: str, *, secret: str = KEY.secret) -> Settings:
    return Settings(media_engine="livekit", livekit_url=url, livekit_api_key=KEY.key, livekit_api_secret=secret)


def test_a_server_with_its_own_engine_has_nothing_to_ask() -> None:
    assert read_livekit_facts(Settings(livekit_url="http://127.0.0.1:1")) is None


async def test_a_deployment_is_asked_for_its_version() -> None:
    async with running_fake() as fake:
        facts = await asyncio.to_thread(read_livekit_facts, settings(fake.url))
        assert facts == LiveKitFacts(url=fake.url, version="1.13.5")


async def test_a_wrong_secret_is_a_failure_that_does_not_show_it() -> None:
    async with running_fake() as fake:
        secret = "another secret that is long enough"
        facts = await asyncio.to_thread(read_livekit_facts, settings(fake.url, secret=secret))
        assert facts is not None
        assert facts.failure is not None
        assert secret not in facts.failure


@pytest.mark.parametrize(
    ("facts", "severity"),
    [
        (LiveKitFacts(url="u", version="1.13.5"), Severity.OK),
        (LiveKitFacts(url="u", version="1.14.0", warning="another version"), Severity.WARNING),
        (LiveKitFacts(url="u", failure="it does not answer"), Severity.ERROR),
        (LiveKitFacts(url="u", failure=NO_EXTRA), Severity.ERROR),
    ],
)
def test_findings(facts: LiveKitFacts, severity: Severity) -> None:
    finding = judge_livekit(facts)
    assert finding.severity is severity
    assert bool(finding.remedy) == (severity is not Severity.OK)
