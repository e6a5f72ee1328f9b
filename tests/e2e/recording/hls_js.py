"""hls.js, the player for HLS in browsers, as npm has it: installed at run time, and kept in a cache."""

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

VERSION = "1.7.4"
_INTEGRITY = "sha512-3GlxGdPvT2YHvQYOt+yOzT/DEior/qJVNIylHA77kgeoBTdQQqi70GwefNEUmHQeNGyjC8U62+bruqW/Tpm+tg=="
"""Of the tarball, as in npm's lock files."""
_CACHE = Path(__file__).parents[3] / ".web-sdk"
_NPM_TIMEOUT_SECONDS = 100


class HlsJsUnavailableError(Exception):
    """npm is missing, or cannot bring the package."""


def install_hls_js(folder: Path) -> None:
    """Put `hls.min.js` into a folder. Raises HlsJsUnavailableError, and ValueError for another tarball."""
    cached = _CACHE / f"hls-{VERSION}.min.js"
    if not cached.exists():
        _download(cached)
    shutil.copy(cached, folder / "hls.min.js")


def _download(target: Path) -> None:
    own = _CACHE / f"hls-{os.getpid()}"  # another process may install it at the same time
    own.mkdir(parents=True)
    try:
        tarball = own / _pack(own)
        digest = hashlib.sha512(tarball.read_bytes()).digest()
        if f"sha512-{base64.b64encode(digest).decode('ascii')}" != _INTEGRITY:
            raise ValueError(f"npm brought another hls.js {VERSION} than the published one")
        with tarfile.open(tarball) as archive:
            source = archive.extractfile("package/dist/hls.min.js")
            assert source is not None
            (own / "bundle.js").write_bytes(source.read())
        (own / "bundle.js").replace(target)
    finally:
        shutil.rmtree(own)


def _pack(folder: Path) -> str:
    npm = shutil.which("npm")
    if npm is None:
        raise HlsJsUnavailableError("npm is not installed")
    command = [npm, "pack", "--silent", f"hls.js@{VERSION}"]
    try:
        done = subprocess.run(command, cwd=folder, timeout=_NPM_TIMEOUT_SECONDS, capture_output=True, check=False)
    except subprocess.TimeoutExpired:
        raise HlsJsUnavailableError("the npm registry does not answer") from None
    if done.returncode != 0:
        raise HlsJsUnavailableError(f"npm cannot install hls.js {VERSION}: {done.stderr.decode()[:200]}")
    return done.stdout.decode().strip()
