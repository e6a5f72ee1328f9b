"""The processes that own the sockets of a port, on Linux.

/proc/net/tcp and its siblings (proc(5)) have a line for each socket with its local address, its state and its inode; a
process has its sockets as links `socket:[inode]` in /proc/<pid>/fd. Those of other users can only be read by root.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

PROC = Path("/proc")
_LISTENING = "0A"
_NAME_LENGTH = 60


class SocketOwner(msgspec.Struct, frozen=True, kw_only=True):
    """A process, the one that started it, and its command line, shortened."""

    process_id: int
    parent_id: int
    command: str


def find_socket_owners(kind: Literal["tcp", "udp"], port: int, *, proc: Path = PROC) -> list[SocketOwner]:
    """Return the processes with a listening TCP socket, or any UDP socket, on a port; empty if that is not known."""
    wanted = set(_socket_inodes(kind, port, proc=proc))
    return [owner for owner in _processes(proc) if wanted & _inodes_of(owner, proc=proc)] if wanted else []


def _socket_inodes(kind: str, port: int, *, proc: Path) -> Iterator[str]:
    for name in (kind, f"{kind}6"):
        for line in _lines(proc / "net" / name)[1:]:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == port and (kind == "udp" or fields[3] == _LISTENING):
                yield fields[9]


def _processes(proc: Path) -> Iterator[SocketOwner]:
    for folder in proc.iterdir():
        if folder.name.isdecimal():
            try:
                arguments = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                # The name of the program, in parentheses, may have spaces (proc(5), /proc/<pid>/stat).
                status = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            except OSError:
                continue  # It has ended.
            yield SocketOwner(
                process_id=int(folder.name), parent_id=int(status[1]), command=arguments[:_NAME_LENGTH] or "unknown"
            )


def _inodes_of(owner: SocketOwner, *, proc: Path) -> set[str]:
    found = set()
    try:
        for link in (proc / str(owner.process_id) / "fd").iterdir():
            try:
                match = re.fullmatch(r"socket:\[(\d+)\]", str(link.readlink()))
            except OSError:
                continue  # It has been closed.
            if match is not None:
                found.add(match[1])
    except OSError:
        pass  # The process of another user, or one that has ended.
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
