"""The versions of Amazon's Web Broadcast SDK that the tests run, installed from npm.

The SDK (`amazon-ivs-web-broadcast`) is proprietary software under Amazon's agreement. It is a sealed client: the tests
install it from npm and run it, and neither read nor change it. Nothing of it is in the repository. npm's `pack` brings
the published tarball alone, without the package's dependencies and without running its scripts.
"""

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import msgspec

PACKAGE = "amazon-ivs-web-broadcast"
CACHE = Path(__file__).parents[3] / ".web-sdk"
"""Where the bundles are kept from run to run. Git ignores the folder."""

_BUNDLE = "package/dist/amazon-ivs-web-broadcast.js"
_NPM_TIMEOUT_SECONDS = 100


class SdkUnavailableError(Exception):
    """A version cannot be installed here: npm is missing, or the registry cannot be reached."""


class SdkPackage(msgspec.Struct, frozen=True, kw_only=True):
    """A published version. `year` is that of Amazon's release note; `integrity` is the tarball's, as in npm's lock
    files."""

    version: str
    year: int
    integrity: str


PACKAGES = (
    SdkPackage(
        version="1.6.0",
        year=2023,
        integrity="sha512-upZ5uMDVzAgOyhhJrDI6c8Pg3tVHkcULmNkhVqc+0QIgrSykSITOD/KBO/GWCZDaCGtLP+sUPTI5ovijg8ChyQ==",
    ),
    SdkPackage(
        version="1.14.0",
        year=2024,
        integrity="sha512-qoTGGyjGv2Il1JuTuL3PfMpi0hqR49kbm3zRMCR6DkoOkvPNIZFNr7O28szE9UkXyZEnBiQqAaAJOE76mcrqkQ==",
    ),
    SdkPackage(
        version="1.24.0",
        year=2025,
        integrity="sha512-xAy1CWGHpngw9nJvjxeCBMlnqQhi8eQucyxsh94o1gH0EVf+o2YfBUYi7pSfpHRJ6/0UCb3aSuu0ueHPRm2QMg==",
    ),
    SdkPackage(
        version="1.33.0",
        year=2026,
        integrity="sha512-tz4Par0Lp3o/mgnHQ1YsEv69r+JrUYqq4urI25HmB7VeEUZYUq48uX3fnuMn/Y9pQ8/PislcM7ekaSGYVT8SNw==",
    ),
    SdkPackage(
        version="1.41.0",
        year=2026,
        integrity="sha512-/RaBcdeBTBS8T4kVnNrHG/0jZFOeiJuglNDBtPlhLiKYw2kq7LOKNiL/aWYuKhHhBG6tBmHNK5AL04JFl7a+lw==",
    ),
)
NEWEST = PACKAGES[-1]


def bundle_name(package: SdkPackage) -> str:
    """Return the file name of a version's bundle in the cache."""
    return f"{package.version}.js"


def install(package: SdkPackage) -> None:
    """Put a version's bundle for browsers into the cache, from npm if it is not there.

    Raises SdkUnavailableError if npm cannot bring it, and ValueError for a tarball with other contents than published.
    """
    bundle = CACHE / bundle_name(package)
    if bundle.exists():
        return
    CACHE.mkdir(exist_ok=True)
    own = CACHE / f"{package.version}-{os.getpid()}"  # another process may install the same version
    own.mkdir()
    try:
        tarball = own / _pack(package, own)
        _verify(tarball, package)
        with tarfile.open(tarball) as archive:
            source = archive.extractfile(_BUNDLE)
            assert source is not None
            (own / "bundle.js").write_bytes(source.read())
        (own / "bundle.js").replace(bundle)
    finally:
        shutil.rmtree(own)


def _pack(package: SdkPackage, folder: Path) -> str:
    """Download a version's tarball into a folder. Returns its name."""
    npm = shutil.which("npm")
    if npm is None:
        raise SdkUnavailableError("npm is not installed")
    command = [npm, "pack", "--silent", f"{PACKAGE}@{package.version}"]
    try:
        done = subprocess.run(command, cwd=folder, timeout=_NPM_TIMEOUT_SECONDS, capture_output=True, check=False)
    except subprocess.TimeoutExpired:
        raise SdkUnavailableError("the npm registry does not answer") from None
    if done.returncode != 0:
        raise SdkUnavailableError(f"npm cannot install {PACKAGE} {package.version}: {done.stderr.decode()[:200]}")
    return done.stdout.decode().strip()


def _verify(tarball: Path, package: SdkPackage) -> None:
    digest = hashlib.sha512(tarball.read_bytes()).digest()
    if f"sha512-{base64.b64encode(digest).decode('ascii')}" != package.integrity:
        raise ValueError(f"npm brought another {PACKAGE} {package.version} than the published one")
