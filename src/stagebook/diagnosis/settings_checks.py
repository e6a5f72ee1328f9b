"""The settings: values that are refused, and combinations that work for fewer people than was meant."""

import stat
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from stagebook.config.rules import ConfigError
from stagebook.config.settings import SECRET_SETTINGS, Settings
from stagebook.data_folder.folder_permissions import OTHERS_MASK
from stagebook.diagnosis.finding import Finding, Severity
from stagebook.server.media_engine.media_process_settings import media_process_user
from stagebook.server.startup_banner import settings_warnings

CHECK = "settings"


def judge_refusal(error: ConfigError) -> Finding:
    """Return the finding of a setting that is refused."""
    remedy = "correct it in the settings file, the environment or the command line (docs/operating.md, Settings)"
    return _finding("refused", Severity.ERROR, str(error), "the server does not start", remedy)


def judge_settings(settings: Settings) -> Iterator[Finding]:
    """Yield the findings about settings that can be used."""
    found = [*_judge_access(settings), *_judge_announced(settings), *_judge_warnings(settings)]
    try:
        media_process_user(settings)
    except ConfigError as error:
        found.append(judge_refusal(error))
    yield from found
    if not found:
        yield _finding("all", Severity.OK, "no conflicts")


def _judge_access(settings: Settings) -> Iterator[Finding]:
    if settings.auth == "off" and not settings.address.is_loopback:
        yield _finding(
            "auth",
            Severity.ERROR,
            f"off, and the server listens on {settings.address}",
            "everybody who reaches this address may call every operation",
            'set auth = "on", or listen on a loopback address',
        )


def _judge_announced(settings: Settings) -> Iterator[Finding]:
    is_public = settings.public_url is not None and not settings.address.is_loopback
    for text in settings.media_announce:
        address = ip_address(text)
        if address.is_unspecified or address.is_multicast:
            remedy = "announce the addresses by which peers reach this machine"
            yield _finding("media_announce", Severity.ERROR, f"{text} is no address of a host", _NO_MEDIA, remedy)
        elif address.is_loopback and not settings.address.is_loopback:
            remedy = "announce an address that other machines can reach"
            yield _finding(
                "media_announce",
                Severity.WARNING,
                f"{text} is a loopback address",
                "only this machine has media",
                remedy,
            )
        elif address.is_private and not address.is_loopback and is_public:
            yield _finding(
                "media_announce",
                Severity.NOTE,
                f"{text} is a private address",
                "only peers in the same network, or in a VPN, have media",
                "behind a NAT, announce its external address",
            )


_NO_MEDIA = "nobody can publish or watch over WebRTC"


def _judge_warnings(settings: Settings) -> Iterator[Finding]:
    """Yield the warnings that the start prints, each a setting or subject, a colon, and what follows."""
    for warning in settings_warnings(settings):
        found, _, meaning = warning.partition(": ")
        if not (found == "auth is off" and not settings.address.is_loopback):
            remedy = "docs/operating.md, Ports and NAT, RTMP and RTMPS, Behind a TLS proxy"
            yield _finding(found.partition(" ")[0], Severity.WARNING, found, meaning, remedy)


def judge_settings_file(path: Path | None) -> Iterator[Finding]:
    """Yield a finding if the settings file may hold secrets and others can read it."""
    if path is None or not path.is_file():
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    if mode & OTHERS_MASK and any(name in text for name in SECRET_SETTINGS):
        yield _finding(
            str(path),
            Severity.WARNING,
            f"mode {mode:o}, and it names {' or '.join(sorted(SECRET_SETTINGS))}",
            "other users of this machine can read the secrets in it",
            f"`chmod 600 {path}`, and let it belong to the user of the server",
        )


def _finding(subject: str, severity: Severity, found: str, meaning: str = "", remedy: str = "") -> Finding:
    return Finding(check=CHECK, subject=subject, severity=severity, found=found, meaning=meaning, remedy=remedy)
