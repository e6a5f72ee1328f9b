"""The certificate and private key of RTMPS, reloaded when the files change.

Certificates are renewed while the server runs (Let's Encrypt: every 60 days), by replacing the files. The files are
checked at most once a minute, when an encoder connects. If the new files cannot be used, for example because only one
of them is written yet, the current certificate stays in use and the next check tries again.
"""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import structlog

_CHECK_INTERVAL_SECONDS: Final = 60.0

_log = structlog.get_logger(__name__)

_FileStamp: TypeAlias = tuple[int, int, int]
"""Modification time in nanoseconds, size and inode number: any of them changes when a file is replaced."""


class TlsCertificate:
    """A PEM certificate chain and its private key, for TLS 1.2 and later (RFC 8996 forbids earlier versions)."""

    def __init__(self, certificate_path: str, private_key_path: str, *, clock: Callable[[], float]) -> None:
        """Load the files. Raises OSError with the names of the files if they cannot be used."""
        self._paths = (certificate_path, private_key_path)
        self._clock = clock
        self._checked_at = clock()
        self._stamps = self._read_stamps()
        self._context = self._load()

    def context(self) -> ssl.SSLContext:
        """Return the TLS context for a new connection. It is at most one minute older than the files.

        Connections that are open keep the context with which they began; a renewal does not interrupt them.
        """
        now = self._clock()
        if now - self._checked_at >= _CHECK_INTERVAL_SECONDS:
            self._checked_at = now
            self._reload_if_changed()
        return self._context

    def _reload_if_changed(self) -> None:
        try:
            stamps = self._read_stamps()
            if stamps == self._stamps:
                return
            self._context = self._load()
        except OSError as error:
            _log.warning("the changed RTMPS certificate cannot be used; the old one stays in use", detail=str(error))
        else:
            self._stamps = stamps
            _log.info("RTMPS certificate reloaded")

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # An empty password makes an encrypted key an error. Without it, OpenSSL would ask on the terminal.
            context.load_cert_chain(*self._paths, password="")
        except OSError as error:
            raise OSError(f"{' and '.join(self._paths)}: {error.strerror or error}") from error
        return context

    def _read_stamps(self) -> tuple[_FileStamp, ...]:
        return tuple(_read_stamp(path) for path in self._paths)


def _read_stamp(path: str) -> _FileStamp:
    try:
        file = Path(path).stat()
    except OSError as error:
        raise OSError(f"{path}: {error.strerror}") from error
    return file.st_mtime_ns, file.st_size, file.st_ino
