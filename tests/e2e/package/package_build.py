"""Builds the sdist and the wheel of the checkout: `python -m tests.e2e.package.package_build dist`, or `make package`.

The build gets a copy of the files that git tracks, so nothing else can be in a package and nothing is written beside
the sources. The wheel is built from the sdist, so the sdist has what a rebuild needs. All times are that of the newest
commit (https://reproducible-builds.org/specs/source-date-epoch/): two builds of one commit with the same tools are
equal, byte by byte.
"""

import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[3]


class Packages(msgspec.Struct, frozen=True, kw_only=True):
    """The files that a build has made."""

    sdist: Path
    wheel: Path


def build_packages(target: Path) -> Packages:
    """Build both packages into the folder `target`, which is created. Raises CalledProcessError."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        source, built = Path(temporary) / "source", Path(temporary) / "built"
        copy_tracked_files(source)
        # Without isolation: the build tools are the pinned ones of the development environment.
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(built)]
        epoch_seconds = commit_time_seconds()
        environment = os.environ | {"SOURCE_DATE_EPOCH": str(epoch_seconds)}
        subprocess.run(command, cwd=source, env=environment, check=True, stdout=subprocess.DEVNULL)
        (sdist,), (wheel,) = built.glob("*.tar.gz"), built.glob("*.whl")
        (target / sdist.name).write_bytes(with_fixed_times(sdist.read_bytes(), epoch_seconds=epoch_seconds))
        shutil.copyfile(wheel, target / wheel.name)
        return Packages(sdist=target / sdist.name, wheel=target / wheel.name)


def copy_tracked_files(target: Path) -> None:
    """Copy the files of the checkout that git tracks, as they are in the work tree. Symbolic links stay links."""
    for name in git_output("ls-files", "-z").rstrip("\0").split("\0"):
        path = ROOT / name
        if path.is_symlink() or path.exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target / name, follow_symlinks=False)


def commit_time_seconds() -> int:
    """Return the time of the newest commit, in seconds since the epoch."""
    return int(git_output("log", "-1", "--format=%ct"))


def with_fixed_times(archive: bytes, *, epoch_seconds: int) -> bytes:
    """Return a .tar.gz archive with the same files in the order of their names, all of this time and of root."""
    packed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as old,
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=epoch_seconds) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch_seconds, 0, 0, "", ""
            member.mode = 0o755 if member.isdir() else 0o644
            member.pax_headers = {}
            new.addfile(member, old.extractfile(member))
    return packed.getvalue()


def git_output(*arguments: str) -> str:
    """Return what a command of git about the checkout prints."""
    # Git refuses a checkout of another user, such as that of a CI service, unless it is told that it is safe.
    command = ["git", "-c", f"safe.directory={ROOT}", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def main() -> int:
    """Build into the folder that the command line names, and print the files."""
    packages = build_packages(Path(sys.argv[1]))
    for path in (packages.sdist, packages.wheel):
        print(f"{path} ({path.stat().st_size:,} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
