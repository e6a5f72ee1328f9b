"""The secrets of a data folder: whether they are those of the book in the database, which all nodes share."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.shared_secrets import SharedSecrets
from stagebook.data_folder.secret_exchange import shared_secret_paths
from stagebook.data_folder.secrets import DataFolder
from stagebook.diagnosis.finding import Finding, Severity

CHECK: Final = "shared secrets"


class SecretFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The names of the secrets, by what became of comparing them. `missing` are not in the data folder yet."""

    equal: tuple[str, ...] = ()
    different: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    not_stored: tuple[str, ...] = ()
    """In the data folder, and not beside the book yet."""
    unreadable: tuple[str, ...] = ()


def read_secret_facts(folder: DataFolder, connection: PostgresConnection) -> SecretFacts:
    """Compare the secrets of a data folder with those of a book. Raises BookFailedError."""
    store = SharedSecrets(connection)
    stored = {path.name: store.find(path.name) for path in shared_secret_paths(folder)}
    return compare_secrets(shared_secret_paths(folder), stored)


def compare_secrets(paths: Iterable[Path], stored: Mapping[str, bytes | None]) -> SecretFacts:
    """Return what became of comparing each secret with the stored one."""
    found: dict[str, list[str]] = {name: [] for name in SecretFacts.__struct_fields__}
    for path in paths:
        found[_compared(path, stored.get(path.name))].append(path.name)
    return SecretFacts(**{name: tuple(names) for name, names in found.items()})


def _compared(path: Path, stored: bytes | None) -> str:
    try:
        here = path.read_bytes()
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "unreadable"
    if stored is None:
        return "not_stored"
    return "equal" if here == stored else "different"


def judge_secrets(facts: SecretFacts) -> Finding:
    """Return the finding about the secrets. It contains none of them."""
    if facts.different:
        return _finding(
            Severity.ERROR,
            f"{', '.join(facts.different)}: other values than beside the book",
            "the data folder belongs to another book, and the server does not start",
            "name a new data folder with --data: the server takes the secrets of the book",
        )
    if facts.unreadable:
        remedy = "run this command as the user of the server"
        return _finding(Severity.NOTE, "this user cannot read them", "they are not compared", remedy)
    if not facts.equal:
        return _finding(Severity.OK, "none are shared yet; the next start does it")
    missing = f", {len(facts.missing)} to be copied by the next start" if facts.missing else ""
    return _finding(Severity.OK, f"{len(facts.equal)} are those of the book{missing}")


def _finding(severity: Severity, found: str, meaning: str = "", remedy: str = "") -> Finding:
    return Finding(check=CHECK, subject="data folder", severity=severity, found=found, meaning=meaning, remedy=remedy)
