"""The certificate that encoders are shown, read again when its files have changed. Makes none; knows no connection."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

_CHECK_INTERVAL_SECONDS: Final = 60.0

_log = structlog.get_logger(__name__)

Stamp = tuple[tuple[int, int, int], ...]


class Certificate:
    """A PEM certificate (with its chain) and its private key in files, for TLS 1.2 and later (RFC 8996)."""

    def __init__(self, certificate_path: str, private_key_path: str, *, clock: Callable[[], float]) -> None:
        """Read the files. Raises OSError that names what cannot be used."""
        self._paths = (certificate_path, private_key_path)
        self._clock = clock
        self._checked_at = clock()
        self._stamp = self._files()
        self._context = self._load()

    def context(self) -> ssl.SSLContext:
        """The context for a new connection, of the files as they were a minute ago or later."""
        now = self._clock()
        if now - self._checked_at >= _CHECK_INTERVAL_SECONDS:
            self._checked_at = now
            self._read_again()
        return self._context

    def _read_again(self) -> None:
        """Take files that have changed; those that cannot be used yet, half written maybe, are looked at again."""
        try:
            stamp = self._files()
            if stamp == self._stamp:
                return
            self._context = self._load()
        except OSError as error:
            _log.warning("the certificate for RTMPS has changed and cannot be used", detail=str(error))
        else:
            self._stamp = stamp
            _log.info("the certificate for RTMPS was read again")

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # An empty password instead of a question at the terminal, for a key that is encrypted.
            context.load_cert_chain(*self._paths, password="")
        except OSError as error:
            raise OSError(f"{' and '.join(self._paths)}: {error.strerror or error}") from error
        return context

    def _files(self) -> Stamp:
        return tuple(_stamp(path) for path in self._paths)


def _stamp(path: str) -> tuple[int, int, int]:
    try:
        file = Path(path).stat()
    except OSError as error:
        raise OSError(f"{path}: {error.strerror}") from error
    return file.st_mtime_ns, file.st_size, file.st_ino
