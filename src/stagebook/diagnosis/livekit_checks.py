"""LiveKit as the media engine: whether it answers, accepts the key, and has a version that is tested."""

import asyncio
import time

import msgspec

from stagebook.config.settings import Settings
from stagebook.diagnosis.finding import Finding, Severity

CHECK = "livekit"
NO_EXTRA = "the extra livekit is not installed"


class LiveKitFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment has answered."""

    url: str
    version: str = ""
    warning: str | None = None
    """Why this version should not be used."""
    failure: str | None = None
    """Why the deployment cannot be used."""


def read_livekit_facts(settings: Settings) -> LiveKitFacts | None:
    """Ask the deployment; None if LiveKit is not the media engine. Takes up to 8 s if it does not answer."""
    url, key, secret = settings.livekit_url, settings.livekit_api_key, settings.livekit_api_secret
    if settings.media_engine != "livekit" or url is None or key is None or secret is None:
        return None
    try:
        # Late: they need the extra.
        from stagebook.media.livekit.livekit_access import LiveKitAccess, LiveKitKey
        from stagebook.media.livekit.livekit_probe import LiveKitUnusableError, probe
    except ImportError:
        return LiveKitFacts(url=url, failure=NO_EXTRA)
    access = LiveKitAccess(LiveKitKey(key=key, secret=secret), wall_clock=time.time)
    try:
        found = asyncio.run(probe(url, access=access))
    except LiveKitUnusableError as error:
        return LiveKitFacts(url=url, failure=str(error))
    return LiveKitFacts(url=url, version=found.version, warning=found.warning)


def judge_livekit(facts: LiveKitFacts) -> Finding:
    """Return the finding about the deployment."""
    if facts.failure == NO_EXTRA:
        remedy = "pip install 'stagebook[livekit]'"
        return _finding(facts, Severity.ERROR, NO_EXTRA, "the server does not start", remedy)
    if facts.failure is not None:
        remedy = "start LiveKit, or correct livekit_url, livekit_api_key and livekit_api_secret"
        return _finding(facts, Severity.ERROR, facts.failure, "the server does not start", remedy)
    if facts.warning is not None:
        remedy = "use the version that is tested"
        return _finding(facts, Severity.WARNING, facts.warning, "publishing and watching may fail", remedy)
    return _finding(facts, Severity.OK, f"version {facts.version}")


def _finding(facts: LiveKitFacts, severity: Severity, found: str, meaning: str = "", remedy: str = "") -> Finding:
    return Finding(check=CHECK, subject=facts.url, severity=severity, found=found, meaning=meaning, remedy=remedy)
