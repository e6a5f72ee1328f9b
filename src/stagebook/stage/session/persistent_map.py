"""A persistent mapping: a change returns a new version, and the versions before it keep their entries.

Sessions are immutable values, and each decision changes a few of up to 25,000 entries. A hash trie (rpds, immutables)
copies the nodes on the path to each change, with a reference to each of their neighbours; that takes a fifth of the
time of a join. This mapping shares one dict between all versions instead ("shallow binding", H. G. Baker 1991;
S. Conchon and J.-C. Filliâtre 2007):

    oldest --difference--> older --difference--> newest --> dict

The newest version has the dict. Every other version has the difference that leads to it from the version that was made
of it. Reading or changing the newest version is a dict operation. Reading an older version first moves the dict to it:
the differences on the way are undone and recorded in the opposite direction. So any version can be read at any time; a
version that is n changes away costs n steps once.

A version keeps the later ones alive, not the earlier ones. Code that waits must not hold an old session meanwhile: it
would keep each entry that is replaced in the meantime.

The class is not thread-safe: reading changes where the dict is.
"""

from collections.abc import ItemsView, Iterable, Iterator, ValuesView
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")

_ABSENT: Any = object()
"""The value in a difference of a key that the version does not have."""


class PersistentMap(Generic[Key, Value]):
    """One version of a mapping. Construct it empty, or with (key, value) pairs."""

    __slots__ = ("_difference", "_entries")

    def __init__(self, items: Iterable[tuple[Key, Value]] = ()) -> None:
        # All versions refer to the one dict. It has the entries of the version that has no difference.
        self._entries: dict[Key, Value] = dict(items)
        self._difference: tuple[Key, Value, PersistentMap[Key, Value]] | None = None

    def get(self, key: Key) -> Value | None:
        """Return the value of a key, or None."""
        if self._difference is not None:
            self._restore()
        return self._entries.get(key)

    def insert(self, key: Key, value: Value) -> "PersistentMap[Key, Value]":
        """Return a version in which the key has this value."""
        if self._difference is not None:
            self._restore()
        entries = self._entries
        if not entries:
            # Empty versions are shared: each session starts with the same one. They must not become part of a chain.
            return PersistentMap(((key, value),))
        # `_succeed`, written out: most decisions insert, and the call costs as much as what it does.
        newer: PersistentMap[Key, Value] = PersistentMap.__new__(PersistentMap)
        newer._entries, newer._difference = entries, None
        self._difference = (key, entries.get(key, _ABSENT), newer)
        entries[key] = value
        return newer

    def remove(self, key: Key) -> "PersistentMap[Key, Value]":
        """Return a version without the key. Raises KeyError if this one does not have it."""
        entries = self._restored()
        newer = self._succeed(key, entries[key])
        del entries[key]
        return newer

    def discard(self, key: Key) -> "PersistentMap[Key, Value]":
        """Return a version without the key."""
        return self.remove(key) if key in self else self

    def _succeed(self, key: Key, value: Value) -> "PersistentMap[Key, Value]":
        """Give the dict to a new version, which differs from this one in `key`; return the new version."""
        newer: PersistentMap[Key, Value] = PersistentMap.__new__(PersistentMap)
        newer._entries, newer._difference = self._entries, None
        self._difference = (key, value, newer)
        return newer

    def _restored(self) -> dict[Key, Value]:
        """Return the dict with the entries of this version."""
        if self._difference is not None:
            self._restore()
        return self._entries

    def _restore(self) -> None:
        """Move the dict to this version: walk to the version that has it, and undo the differences on the way back."""
        path: list[tuple[PersistentMap[Key, Value], Key, Value]] = []
        version = self
        while version._difference is not None:
            key, value, newer = version._difference
            path.append((version, key, value))
            version = newer
        entries = self._entries
        for older, key, value in reversed(path):
            version._difference = (key, entries.get(key, _ABSENT), older)
            if value is _ABSENT:
                del entries[key]
            else:
                entries[key] = value
            older._difference = None
            version = older

    def items(self) -> ItemsView[Key, Value]:
        """Return a view of the keys with their values. It is valid until another version is read or made."""
        return self._restored().items()

    def values(self) -> ValuesView[Value]:
        """Return a view of the values. It is valid until another version is read or made."""
        return self._restored().values()

    def __getitem__(self, key: Key) -> Value:
        if self._difference is not None:
            self._restore()
        return self._entries[key]

    def __contains__(self, key: object) -> bool:
        return key in self._restored()

    def __iter__(self) -> Iterator[Key]:
        return iter(self._restored())

    def __len__(self) -> int:
        if self._difference is not None:
            self._restore()
        return len(self._entries)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PersistentMap):
            return NotImplemented
        # Copied: both can be versions of one dict.
        return dict(self._restored()) == other._restored()

    __hash__ = None  # type: ignore[assignment] # equal by value, with values that need not be hashable

    def __repr__(self) -> str:
        # Sorted: the order in the dict depends on which versions were read.
        return f"PersistentMap({sorted(self._restored().items(), key=repr)!r})"
