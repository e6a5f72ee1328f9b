"""The certificate and private key of RTMPS: read by the server, used by the ingest process.

The ingest process must not read files, so the server reads the certificate and its key and sends them over the control
socket. Certificates are renewed while the server runs (Let's Encrypt: every 60 days), by replacing the files. If the
new files cannot be used, for example because only one of them is written yet, the current certificate stays in use.
"""

import contextlib
import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
import structlog

MAX_PEM_BYTES: Final = 64 << 10
"""Maximum size of each file: as much as a pipe holds."""

_log = structlog.get_logger(__name__)

_FileStamp: TypeAlias = tuple[int, int, int]
"""Modification time in nanoseconds, size and inode number: any of them changes when a file is replaced."""


class CertificatePair(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate chain and its private key, as PEM."""

    chain_pem: bytes
    private_key_pem: bytes

    def __repr__(self) -> str:
        return "CertificatePair(...)"


def tls_context(pair: CertificatePair) -> ssl.SSLContext:
    """Return a context for TLS 1.2 and later (RFC 8996 forbids earlier versions).

    Raises OSError if the pair cannot be used. The error does not say why; `CertificateFiles` does.
    """
    with _as_path(pair.chain_pem) as chain, _as_path(pair.private_key_pem) as private_key:
        try:
            return _load(chain, private_key)
        except OSError as error:
            raise OSError("the RTMPS certificate and its key cannot be used together") from error


def _load(chain: str, private_key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # An empty password makes an encrypted key an error. Without it, OpenSSL would ask on the terminal.
    context.load_cert_chain(chain, private_key, password="")
    return context


@contextlib.contextmanager
def _as_path(content: bytes) -> Iterator[str]:
    """Yield a path from which the content can be read once: Python's ssl module loads certificates from paths only.

    The path is that of a pipe, which needs no right to write files.
    """
    if len(content) > MAX_PEM_BYTES:
        raise OSError(f"more than {MAX_PEM_BYTES} bytes")
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "wb", buffering=0) as pipe:
            os.set_blocking(writing, False)
            if pipe.write(content) != len(content):
                raise OSError("the system has no pipe that holds it")
        yield f"/dev/fd/{reading}"
    finally:
        os.close(reading)


class CertificateFiles:
    """The files of a certificate and its key, and what they last contained that can be used."""

    def __init__(self, certificate_path: Path, private_key_path: Path) -> None:
        self._paths = (certificate_path, private_key_path)
        self._stamps: tuple[_FileStamp, ...] = ()
        self._pair: CertificatePair | None = None
        self._warned: str | None = None
        """The reason why the changed files cannot be used that was logged last."""

    def pair(self) -> CertificatePair:
        """Return the newest pair that could be used. Raises OSError with the names of the files if there was none."""
        if self._pair is None:
            self._stamps, self._pair = self._read_stamps(), self._read()
        return self._pair

    def renewed(self) -> CertificatePair | None:
        """Return a pair that is newer than the last one, None if there is none that can be used."""
        try:
            stamps = self._read_stamps()
            if stamps == self._stamps:
                self._warned = None
                return None
            self._pair = self._read()
        except OSError as error:
            self._warn(str(error))
            return None
        self._stamps, self._warned = stamps, None
        _log.info("RTMPS certificate reloaded")
        return self._pair

    def _warn(self, detail: str) -> None:
        """Log why the changed files cannot be used: once, as they are looked at again each minute."""
        if detail != self._warned:
            self._warned = detail
            _log.warning("the changed RTMPS certificate cannot be used; the old one stays in use", detail=detail)

    def _read(self) -> CertificatePair:
        chain, private_key = (_read_file(path) for path in self._paths)
        try:
            _load(*map(str, self._paths))
            pair = CertificatePair(chain_pem=chain, private_key_pem=private_key)
            tls_context(pair)
        except OSError as error:
            names = " and ".join(map(str, self._paths))
            raise OSError(f"{names}: {error.strerror or error}") from error
        return pair

    def _read_stamps(self) -> tuple[_FileStamp, ...]:
        return tuple(_read_stamp(path) for path in self._paths)


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OSError(f"{path}: {error.strerror}") from error


def _read_stamp(path: Path) -> _FileStamp:
    try:
        file = path.stat()
    except OSError as error:
        raise OSError(f"{path}: {error.strerror}") from error
    return file.st_mtime_ns, file.st_size, file.st_ino
