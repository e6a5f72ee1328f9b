"""The programs of a cluster that are not Stagebook: where they are, and what is missing."""

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

_DEBIAN_POSTGRES: Final = Path("/usr/lib/postgresql")
_NGINX_STREAM_MODULES: Final = (
    Path("/usr/lib/nginx/modules/ngx_stream_module.so"),
    Path("/usr/lib64/nginx/modules/ngx_stream_module.so"),
)
_SYSTEM_FOLDERS: Final = ("/usr/sbin", "/usr/local/sbin", "/sbin")
"""Not on the path of every user."""
BALANCERS: Final = ("haproxy", "nginx")


class ProgramMissingError(Exception):
    """A program that the cluster needs is not installed. The message says which, and how to install it."""


class Programs(NamedTuple):
    """The paths of the programs. Without Redis or LiveKit, the nodes forward media themselves."""

    postgres: Path
    """The folder of `initdb` and `postgres`."""
    balancer: Path
    redis: Path | None
    livekit: Path | None

    @property
    def has_livekit(self) -> bool:
        """Whether LiveKit can forward the media: its nodes need a Redis."""
        return self.livekit is not None and self.redis is not None


def find_programs(balancers: Iterable[str] = BALANCERS) -> Programs:
    """Return the programs of this machine; of the balancers, the first that is there. Raises ProgramMissingError."""
    return Programs(
        postgres=_postgres_folder(),
        balancer=find_balancer(balancers),
        redis=_find("redis-server"),
        livekit=_find("livekit-server"),
    )


def find_balancer(balancers: Iterable[str] = BALANCERS) -> Path:
    """Return the first of these programs that is installed. Raises ProgramMissingError."""
    names = tuple(balancers)
    for name in names:
        if (path := _find(name)) is not None:
            return path
    raise ProgramMissingError(f"no load balancer: apt-get install {' or '.join(names)}")


def nginx_stream_module(nginx: Path) -> Path | None:
    """Return the module for TCP that nginx must load; None if it is built in. Raises ProgramMissingError."""
    answer = subprocess.run((nginx, "-V"), capture_output=True, text=True, check=False)
    if re.search(r"--with-stream(\s|$)", answer.stderr):
        return None
    for module in _NGINX_STREAM_MODULES:
        if module.exists():
            return module
    raise ProgramMissingError("nginx has no module for TCP: apt-get install libnginx-mod-stream")


def unprivileged_user() -> str | None:
    """Return the user that PostgreSQL runs as, None for the present one: it refuses to run as root.

    Raises ProgramMissingError if there is no such user.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise ProgramMissingError("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _postgres_folder() -> Path:
    folders = [path.parent for path in _DEBIAN_POSTGRES.glob("*/bin/initdb")]
    newest = max(folders, key=lambda folder: int(folder.parent.name), default=None)
    if newest is not None:
        return newest
    if (initdb := _find("initdb")) is None:
        raise ProgramMissingError("no PostgreSQL server: apt-get install postgresql")
    return initdb.resolve().parent


def _find(name: str) -> Path | None:
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS]))
    return None if path is None else Path(path)
