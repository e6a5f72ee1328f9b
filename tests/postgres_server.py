"""Real PostgreSQL servers for tests.

    def test_it(postgres_url: str) -> None: ...     an empty database of the server that all tests share

The fixtures are in `tests/conftest.py`. All workers of pytest-xdist share one server, without fsync. Each user of it
holds a shared lock on a file. The keeper (`python -m tests.postgres_server FOLDER`), a process of its own, waits for
the exclusive lock: it gets it when the last user has ended, also by kill -9. Then it ends the server and deletes its
folder.

A test that kills the server or needs fsync starts a `PostgresServer` of its own with `running_server`.
"""

import fcntl
import itertools
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Final

import pytest

MINIMUM_VERSION: Final = 14
SUPERUSER: Final = "stagebook"
STANDBY: Final = "standby"
"""The name by which a primary knows its standby."""
_START_SECONDS: Final = 60
_KEEPER_START_SECONDS: Final = 90
_DEBIAN_PROGRAMS: Final = Path("/usr/lib/postgresql")
_numbers = itertools.count(1)
_SETTINGS: Final = """
listen_addresses = '127.0.0.1'
unix_socket_directories = '{folder}'
port = {port}
fsync = {fsync}
full_page_writes = {fsync}
max_connections = 200
shared_buffers = '64MB'
jit = off
timezone = 'UTC'
log_line_prefix = '%m [%p] '
"""


class NoPostgresError(Exception):
    """There is no PostgreSQL that the tests can use. The message says why."""


class ServerProgramError(Exception):
    """A program of PostgreSQL failed. The message is its output."""


class PostgresServer:
    """A PostgreSQL server in a temporary folder, on a port of the loopback interface and a Unix socket there."""

    def __init__(
        self,
        *,
        fsync: bool,
        settings: Mapping[str, str] = MappingProxyType({}),
        primary: "PostgresServer | None" = None,
    ) -> None:
        """Make the folder and the files of the server. Raises NoPostgresError. Call `delete` at the end.

        `settings` are further settings of the server. With `primary`, it is a standby of that server, which runs.
        """
        self._settings = settings
        self._programs = find_programs()
        self._user = _unprivileged_user()
        self._fsync = fsync
        # Not a folder of pytest, which is private to the user that runs the tests.
        self.folder = Path(tempfile.mkdtemp(prefix="stagebook-postgres-"))
        self.port = 0
        if self._user is not None:
            shutil.chown(self.folder, user=self._user)
        if primary is not None:
            self._settings = {**settings, "primary_conninfo": f"{primary.url()}?application_name={STANDBY}"}
            self._run(
                "pg_basebackup",
                *("--dbname", primary.url(), "--checkpoint", "fast", "--write-recovery-conf", "--no-sync"),
            )
            return
        # "C" is a collation that all systems have, and that sorts as SQLite does.
        self._run(
            "initdb",
            *("--username", SUPERUSER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"),
            *("--no-instructions", "--no-sync"),
        )

    @property
    def log(self) -> str:
        """What the server has logged."""
        path = self.folder / "log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database."""
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/{database}"

    def socket_url(self, database: str = "postgres") -> str:
        """Return the URL of a database, by the Unix socket."""
        return f"postgresql://{SUPERUSER}@/{database}?host={self.folder}&port={self.port}"

    def start(self) -> None:
        """Start the server, and wait until it accepts connections. A server that was killed keeps its port."""
        self._forget_killed_server()
        self.port = self.port or _free_port()
        settings = _SETTINGS.format(folder=self.folder, port=self.port, fsync="on" if self._fsync else "off")
        settings += "".join(f"{name} = '{value}'\n" for name, value in self._settings.items())
        (self._data / "postgresql.auto.conf").write_text(settings, encoding="utf-8")
        self._run("pg_ctl", "--log", str(self.folder / "log"), "--wait", "--timeout", str(_START_SECONDS), "start")

    def wait_for_standby(self) -> None:
        """Wait until commits wait for the standby, as `synchronous_standby_names` says."""
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'")
            connection.execute("SELECT pg_reload_conf()")
            deadline = time.monotonic() + _START_SECONDS
            while connection.execute("SELECT sync_state FROM pg_stat_replication").fetchall() != [("sync",)]:
                assert time.monotonic() < deadline, self.log
                time.sleep(0.05)

    def promote(self) -> None:
        """Make a standby the primary."""
        self._run("pg_ctl", "--wait", "promote")

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server: `fast` disconnects the clients, `immediate` leaves what a crash leaves."""
        with suppress(ServerProgramError):  # It is not running.
            self._run("pg_ctl", "--mode", mode, "--wait", "stop")

    def kill(self) -> None:
        """Kill all processes of the server, as in a crash of its machine."""
        _wait_until_gone(self.send_signal(signal.SIGKILL))

    def send_signal(self, number: signal.Signals) -> tuple[int, ...]:
        """Send a signal to all processes of the server; return their numbers."""
        postmaster = int((self._data / "postmaster.pid").read_text(encoding="ascii").split()[0])
        answer = subprocess.run(("pgrep", "--parent", str(postmaster)), capture_output=True, text=True, check=False)
        processes = (postmaster, *map(int, answer.stdout.split()))
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, number)
        return processes

    def delete(self) -> None:
        """Stop the server and delete its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _forget_killed_server(self) -> None:
        """Remove the lock files of a killed server: a process with its number can exist."""
        if self.port:
            for lock in (self._data / "postmaster.pid", self.folder / f".s.PGSQL.{self.port}.lock"):
                lock.unlink(missing_ok=True)

    def _run(self, program: str, *arguments: str) -> None:
        # The server inherits standard output; with a pipe, the end of pg_ctl would not be seen.
        errors = self.folder / "errors"
        with errors.open("wb") as output:
            process = subprocess.run(
                [self._programs / program, "--pgdata", self._data, *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
                **_identity(self._user),
            )
        if process.returncode:
            text = errors.read_text(encoding="utf-8", errors="replace")
            raise ServerProgramError(f"{program}: {text}{self.log}")


@contextmanager
def running_server(
    *,
    fsync: bool = True,
    settings: Mapping[str, str] = MappingProxyType({}),
    primary: PostgresServer | None = None,
) -> Iterator[PostgresServer]:
    """Run a server that no other test uses. Skips the test with the reason if there is no PostgreSQL.

    With `primary` it is a standby, without whose answer the primary commits nothing.
    """
    try:
        server = PostgresServer(fsync=fsync, settings=settings, primary=primary)
    except NoPostgresError as error:
        pytest.skip(str(error))
    try:
        server.start()
        if primary is not None:
            primary.wait_for_standby()
        yield server
    finally:
        server.delete()


@contextmanager
def shared_server(folder: Path) -> Iterator[str]:
    """Yield the URL of the server that all processes with the same `folder` share. The first one starts it.

    Skips the test with the reason if there is no PostgreSQL.
    """
    try:
        find_programs()
        _unprivileged_user()
    except NoPostgresError as error:
        pytest.skip(str(error))
    folder.mkdir(exist_ok=True)
    with (folder / "users").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)  # Waits for the end of a server that the keeper is ending.
        with (folder / "start").open("w") as start:
            fcntl.flock(start, fcntl.LOCK_EX)  # Of several users, one starts the server.
            if not (folder / "url").exists():
                _start_keeper(folder)
        yield (folder / "url").read_text(encoding="utf-8")


@contextmanager
def database(server_url: str, *, template: str = "template1") -> Iterator[str]:
    """Make a copy of a database on a server for the context, and yield its URL. Nobody may be connected to `template`.

    The default is an empty database.
    """
    import psycopg

    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield server_url.rpartition("/")[0] + f"/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def find_programs() -> Path:
    """Return the folder of the newest PostgreSQL: on the path, or where Debian has it. Raises NoPostgresError."""
    on_path = shutil.which("initdb")
    folders = [path.parent for path in _DEBIAN_PROGRAMS.glob("*/bin/initdb")]
    folders += [Path(on_path).resolve().parent] if on_path else []
    newest = max(folders, key=_version, default=None)
    if newest is None:
        raise NoPostgresError(f"needs the server programs of PostgreSQL {MINIMUM_VERSION} or newer (initdb, pg_ctl)")
    if _version(newest) < MINIMUM_VERSION:
        raise NoPostgresError(f"needs PostgreSQL {MINIMUM_VERSION} or newer; here is {_version(newest)}")
    return newest


def _version(programs: Path) -> int:
    answer = subprocess.run((programs / "initdb", "--version"), capture_output=True, text=True, check=False)
    found = re.search(r"\) (\d+)", answer.stdout)
    return int(found[1]) if found else 0


def _unprivileged_user() -> str | None:
    """Return the user that the server runs as, None for the present one. PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise NoPostgresError("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _identity(user: str | None) -> dict[str, Any]:
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _wait_until_gone(processes: tuple[int, ...]) -> None:
    """Wait until these processes are gone: they may not be children of this one."""
    for process in processes:
        with suppress(ProcessLookupError):
            while True:
                os.kill(process, 0)
                if _is_zombie(process):
                    break
                time.sleep(0.005)


def _is_zombie(process: int) -> bool:
    answer = subprocess.run(("ps", "-o", "stat=", "-p", str(process)), capture_output=True, text=True, check=False)
    return answer.stdout.startswith("Z")


def _start_keeper(folder: Path) -> None:
    """Start the keeper, and wait until the server accepts connections."""
    with (folder / "keeper").open("wb") as output:
        keeper = subprocess.Popen(
            (sys.executable, "-m", "tests.postgres_server", str(folder)),
            cwd=Path(__file__).parents[1],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Signals of a terminal end the tests, not the keeper.
        )
    deadline = time.monotonic() + _KEEPER_START_SECONDS
    while not (folder / "url").exists():
        if keeper.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"PostgreSQL did not start: {(folder / 'keeper').read_text(encoding='utf-8')}")
        time.sleep(0.02)
    # The keeper outlives this process: nobody waits for it here.
    keeper.returncode = 0


def keep(folder: Path) -> None:
    """Run a server until no process has a shared lock on the file `users` in `folder`."""
    url = folder / "url"
    with (folder / "users").open("w") as users:
        server = PostgresServer(fsync=False)
        try:
            server.start()
            _write_whole(url, server.url())
            _wait_for_exclusive_lock(users)
        finally:
            url.unlink(missing_ok=True)
            server.delete()


def _write_whole(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.rename(path)


def _wait_for_exclusive_lock(users: IO[str]) -> None:
    fcntl.flock(users, fcntl.LOCK_EX)


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
