"""The versions of the interpreter and of the libraries that Stagebook depends on most.

A library may bring another one inside its wheel, whose version says more: apsw brings SQLite, av brings FFmpeg,
cryptography brings the OpenSSL of DTLS and of all keys, while TLS uses the OpenSSL of the interpreter.
"""

import platform
import ssl
from collections.abc import Callable, Iterator
from importlib import import_module, metadata
from typing import Any

import msgspec

SQLITE = "SQLite"


class LibraryVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A library and its version, or why it cannot be used. `package` is its name on the package index, if any."""

    title: str
    package: str = ""
    version: str | None = None
    failure: str = ""


def read_library_versions() -> Iterator[LibraryVersion]:
    """Load the libraries and yield their versions."""
    yield LibraryVersion(title="Python", version=f"{platform.python_version()} ({platform.python_implementation()})")
    yield LibraryVersion(title="OpenSSL (TLS)", version=ssl.OPENSSL_VERSION.removeprefix("OpenSSL "))
    for title, package, module, version_of in _LIBRARIES:
        try:
            loaded = import_module(module)
            version = metadata.version(package)
            if version_of is not None:
                version = f"{version_of(loaded)} ({package} {version})"
        # A damaged installation fails in many ways, and the other versions must be printed all the same.
        except Exception as error:  # noqa: BLE001 - the failure is the result
            yield LibraryVersion(title=title, package=package, failure=f"{type(error).__name__}: {error}")
        else:
            yield LibraryVersion(title=title, package=package, version=version)


def _openssl_version(openssl: Any) -> str:  # noqa: ANN401 - a module that is loaded by its name
    # The constant 0 asks for the version line (SSLeay_version(3)): "OpenSSL 4.0.3 29 Sep 2026".
    return str(openssl.SSLeay_version(0).decode()).removeprefix("OpenSSL ")


def _model_version(models: Any) -> str:  # noqa: ANN401 - same
    return f"{models.API_VERSION}, {len(models.load_service_model().operations)} operations"


_LIBRARIES: tuple[tuple[str, str, str, Callable[[Any], str] | None], ...] = (
    (SQLITE, "apsw", "apsw", lambda apsw: str(apsw.sqlite_lib_version())),
    ("OpenSSL (DTLS, keys)", "pyOpenSSL", "OpenSSL.SSL", _openssl_version),
    ("Service model ivs-realtime", "botocore", "stagebook.api.aws.rest_json.service_model", _model_version),
    ("FFmpeg", "av", "av", lambda av: str(av.ffmpeg_version_info)),
    # It does not say which libsrtp it brings.
    ("pylibsrtp", "pylibsrtp", "pylibsrtp", None),
    ("cryptography", "cryptography", "cryptography.hazmat.bindings._rust", None),
    ("uvicorn", "uvicorn", "uvicorn", None),
    ("uvloop", "uvloop", "uvloop", None),
)
"""For each: its title, its package, the module that loads it, and how its own version is read, if it has one."""
