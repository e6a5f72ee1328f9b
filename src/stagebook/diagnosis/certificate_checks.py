"""The certificate of RTMPS: its dates, the host names in it, and its key.

Browsers and AWS clients reach a public server through a proxy, whose certificate cannot be seen from here.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from cryptography import x509

from stagebook.config.rules import ConfigError
from stagebook.config.settings import Settings
from stagebook.data_folder.folder_permissions import OTHERS_MASK
from stagebook.data_folder.rtmps_certificate import check_certificate_files
from stagebook.data_folder.secrets import DataFolder
from stagebook.diagnosis.finding import Finding, Severity
from stagebook.diagnosis.folder_checks import is_visible

CHECK = "certificate"
RENEWAL_NOTICE = timedelta(days=14)


class CertificateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The certificate and key files. `problem` says why the server could not use them; then the rest is unknown.

    `names` are the hosts that the certificate is for, `hosts` those by which encoders are told to reach the server.
    """

    path: Path
    key_path: Path
    is_configured: bool
    hosts: tuple[str, ...] = ()
    problem: str = ""
    names: tuple[str, ...] = ()
    is_self_signed: bool = False
    not_before: datetime | None = None
    not_after: datetime | None = None
    key_mode: int = 0o600


def read_certificate_facts(settings: Settings, folder: DataFolder) -> CertificateFacts | None:
    """Read the files; None if RTMPS is switched off, or if the first start has yet to make a certificate."""
    if settings.rtmps_address is None:
        return None
    is_configured = settings.rtmps_certificate is not None and settings.rtmps_private_key is not None
    path = Path(settings.rtmps_certificate) if settings.rtmps_certificate else folder.certificate_path
    key_path = Path(settings.rtmps_private_key) if settings.rtmps_private_key else folder.certificate_key_path
    if not is_configured and not is_visible(path):
        return None
    facts = CertificateFacts(path=path, key_path=key_path, is_configured=is_configured, hosts=tuple(_hosts(settings)))
    try:
        check_certificate_files(path, key_path)
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        return msgspec.structs.replace(
            facts,
            names=tuple(_names(certificate)),
            is_self_signed=certificate.issuer == certificate.subject,
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            key_mode=key_path.stat().st_mode & 0o777,
        )
    except ConfigError as error:
        return msgspec.structs.replace(facts, problem=error.rule)
    except (OSError, ValueError) as error:
        return msgspec.structs.replace(facts, problem=str(error))


def _hosts(settings: Settings) -> Iterator[str]:
    """Yield the host of the URLs that stages have for RTMPS (`public_endpoints`)."""
    url = settings.rtmps_public_url or settings.public_url
    if url:
        yield urlsplit(url).hostname or ""
    elif not settings.address.is_wildcard:
        yield settings.address.host


def _names(certificate: x509.Certificate) -> Iterator[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    yield from names.get_values_for_type(x509.DNSName)
    yield from map(str, names.get_values_for_type(x509.IPAddress))


def judge_certificate(facts: CertificateFacts, *, now: datetime) -> Iterator[Finding]:
    """Yield the findings about the files."""
    if facts.problem or facts.not_before is None or facts.not_after is None:
        meaning = (
            "the server does not start" if facts.is_configured else "the server makes a new one or refuses to start"
        )
        remedy = "correct rtmps_certificate and rtmps_private_key" if facts.is_configured else f"remove {facts.path}"
        yield _finding(facts, Severity.ERROR, facts.problem, meaning, remedy)
        return
    yield _judge_dates(facts, facts.not_before, facts.not_after, now=now)
    yield from _judge_trust(facts)
    if facts.key_mode & OTHERS_MASK:
        yield _finding(
            facts,
            Severity.ERROR,
            f"{facts.key_path} has mode {facts.key_mode:o}: other users of this machine can read or change it",
            "they can impersonate the server to encoders",
            f"`chmod 600 {facts.key_path}`, and replace the key if somebody may have read it",
        )


def _judge_trust(facts: CertificateFacts) -> Iterator[Finding]:
    """Yield the findings about encoders that check the certificate."""
    missing = [host for host in facts.hosts if not is_named(host, facts.names)]
    if missing:
        yield _finding(
            facts,
            Severity.WARNING,
            f"it is not for {', '.join(missing)}, but for {', '.join(facts.names) or 'no host'}",
            "encoders that check certificates refuse the server",
            "get a certificate with this name, or set rtmps_public_url to a name that it has"
            if facts.is_configured
            else "the next start adds the name",
        )
    if facts.is_configured and facts.is_self_signed:
        yield _finding(
            facts,
            Severity.NOTE,
            "self-signed",
            "encoders that check certificates refuse the server until they are told to trust it",
            "use a certificate of a public authority, or install this one in the encoders' systems",
        )


def _judge_dates(facts: CertificateFacts, start: datetime, end: datetime, *, now: datetime) -> Finding:
    days = (end - now).days
    renewal = "renew it: new files are loaded within a minute" if facts.is_configured else "start the server again"
    if now < start:
        remedy = f"check the clock; {renewal}"
        return _finding(facts, Severity.ERROR, f"valid from {start:%Y-%m-%d} only", _REFUSED, remedy)
    if now > end:
        return _finding(facts, Severity.ERROR, f"expired on {end:%Y-%m-%d}", _REFUSED, renewal)
    if end - now < RENEWAL_NOTICE:
        meaning = "from then on, encoders that check certificates refuse the server"
        return _finding(facts, Severity.WARNING, f"expires on {end:%Y-%m-%d}, in {days} days", meaning, renewal)
    return _finding(facts, Severity.OK, f"valid until {end:%Y-%m-%d}, for {', '.join(facts.names)}")


_REFUSED = "encoders that check certificates refuse the server"


def is_named(host: str, names: Sequence[str]) -> bool:
    """Return whether a certificate for `names` is valid for a host: a name, or a wildcard for its first label
    (RFC 9525 section 6.3)."""
    host = host.lower().rstrip(".")
    rest = host.partition(".")[2]
    return any(name.lower() in {host, f"*.{rest}" if rest else host} for name in names)


def _finding(facts: CertificateFacts, severity: Severity, found: str, meaning: str = "", remedy: str = "") -> Finding:
    subject = str(facts.path)
    return Finding(check=CHECK, subject=subject, severity=severity, found=found, meaning=meaning, remedy=remedy)
