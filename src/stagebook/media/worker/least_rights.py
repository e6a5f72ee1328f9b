"""The rights that a worker process gives up, and the environment that it starts with.

A worker parses what any client sends. If such a parser has a vulnerability, the rights of its process decide what an
attacker can do. A worker only reads and writes sockets, so before the first packet it gives up permanently:

* the user: if root has started the server, a worker runs as another user without any group of root. It then cannot read
  what only root can read, above all the data folder. Of the capabilities of root it keeps at most the one to bind ports
  below 1024 (capabilities(7), CAP_NET_BIND_SERVICE), if media is received on one;
* new privileges: no setuid program that it might start has an effect (prctl(2), PR_SET_NO_NEW_PRIVS);
* new processes and threads (RLIMIT_NPROC; the system does not apply it to root), unless it needs threads;
* writing files (RLIMIT_FSIZE): what is in the data folder cannot be changed through a file that it opens. A worker that
  writes recordings keeps the right to write files of a bounded size;
* core dumps (RLIMIT_CORE): they would hold the DTLS keys and the media of all connections.

It inherits the descriptors that its command line names, and no environment variables but those that Python and the
system's libraries need: the settings of the server may be given as variables, and they contain secrets.
"""

import ctypes
import os
import resource
import struct
import sys
from collections.abc import Mapping

import msgspec

_PR_SET_KEEPCAPS = 8
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_NET_BIND_SERVICE = 1 << 10
_IS_LINUX = sys.platform == "linux"
_KEPT_VARIABLES = frozenset({"LANG", "PATH", "TZ", "VIRTUAL_ENV"})
_KEPT_PREFIXES = ("LC_", "LD_", "PYTHON")


class ProcessUser(msgspec.Struct, frozen=True, kw_only=True):
    """The user and the only group of a process, and whether it may bind ports below 1024."""

    user_id: int
    group_id: int
    binds_low_ports: bool = False


class KeptRights(msgspec.Struct, frozen=True, kw_only=True):
    """The rights that a kind of worker needs beyond reading and writing sockets."""

    max_file_bytes: int = 0
    """The size up to which it may write files."""
    starts_threads: bool = False
    """Whether it starts threads, for instance to encode video. The system does not tell threads from processes."""


def drop_rights(user: ProcessUser | None = None, *, kept: KeptRights = KeptRights()) -> None:  # noqa: B008 - frozen
    """Give up the rights of this process that a worker does not need; become `user`, which only root can.

    The modules of the process must be imported before: the user may be unable to read them. Raises OSError if the
    system refuses.
    """
    # Without this, a module that is imported later would be compiled to a file that cannot be written.
    sys.dont_write_bytecode = True
    library = ctypes.CDLL(None, use_errno=True) if _IS_LINUX else None
    if user is not None:
        _become(user, library)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit_files(kept.max_file_bytes)
    if not kept.starts_threads:
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    if library is not None:
        _check(library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def _limit_files(max_bytes: int) -> None:
    """Limit the size of files. A lower limit that the process was started with stays."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = max_bytes if hard == resource.RLIM_INFINITY else min(max_bytes, hard)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _become(user: ProcessUser, library: ctypes.CDLL | None) -> None:
    if user.binds_low_ports and library is not None:
        _check(library.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
    # In this order: a process that is not root cannot change its groups.
    os.setgroups([])
    os.setgid(user.group_id)
    os.setuid(user.user_id)
    if user.binds_low_ports and library is not None:
        _keep_low_ports(library)


def _keep_low_ports(library: ctypes.CDLL) -> None:
    """Of the permitted capabilities, which have all stayed, keep one. A container may lack it: then keep none."""
    if _set_capabilities(library, _CAP_NET_BIND_SERVICE) != 0:
        _check(_set_capabilities(library, 0))


def _set_capabilities(library: ctypes.CDLL, kept: int) -> int:
    """Make these the permitted and effective capabilities, without inheritable ones (capset(2)). 0 means success."""
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    result: int = library.capset(header, struct.pack("6I", kept, kept, 0, 0, 0, 0))
    return result


def _check(result: int) -> None:
    """Raise OSError for the result of a function of the C library that has failed."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def worker_environment(environment: Mapping[str, str], *, kept: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the variables of the server's environment that a worker process gets, also those that begin as `kept`."""
    prefixes = (*_KEPT_PREFIXES, *kept)
    return {name: value for name, value in environment.items() if name in _KEPT_VARIABLES or name.startswith(prefixes)}
