"""Every version of a persistent map has its own entries, in whatever order versions are made and read."""

import gc

import pytest
from hypothesis import strategies
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, rule

from stagebook.stage.session.persistent_map import PersistentMap

KEYS = strategies.sampled_from("abcdef")
VALUES = strategies.integers(min_value=0, max_value=3)
Version = tuple[PersistentMap[str, int], dict[str, int]]
"""A version, and the entries that it must have."""


class PersistentMapMachine(RuleBasedStateMachine):
    """Makes versions of versions, reads any of them, and forgets some."""

    versions: Bundle[Version] = Bundle("versions")

    @rule(target=versions, items=strategies.dictionaries(KEYS, VALUES))
    def construct(self, items: dict[str, int]) -> Version:
        return PersistentMap(items.items()), items

    @rule(target=versions, version=versions, key=KEYS, value=VALUES)
    def insert(self, version: Version, key: str, value: int) -> Version:
        mapping, entries = version
        return mapping.insert(key, value), {**entries, key: value}

    @rule(target=versions, version=versions, key=KEYS)
    def discard(self, version: Version, key: str) -> Version:
        mapping, entries = version
        return mapping.discard(key), {other: value for other, value in entries.items() if other != key}

    @rule(version=versions, key=KEYS)
    def remove(self, version: Version, key: str) -> None:
        mapping, entries = version
        if key in entries:
            assert key not in mapping.remove(key)
        else:
            with pytest.raises(KeyError):
                mapping.remove(key)

    @rule(version=versions, key=KEYS)
    def read_one(self, version: Version, key: str) -> None:
        mapping, entries = version
        assert mapping.get(key) == entries.get(key)
        assert (key in mapping) is (key in entries)
        if key in entries:
            assert mapping[key] == entries[key]

    @rule(version=versions)
    def read_all(self, version: Version) -> None:
        mapping, entries = version
        assert dict(mapping.items()) == entries
        assert sorted(mapping) == sorted(entries)
        assert sorted(mapping.values()) == sorted(entries.values())
        assert len(mapping) == len(entries)

    @rule(one=versions, other=versions)
    def compare(self, one: Version, other: Version) -> None:
        assert (one[0] == other[0]) is (one[1] == other[1])

    @rule(version=consumes(versions))
    def forget(self, version: Version) -> None:
        pass


TestPersistentMapMachine = PersistentMapMachine.TestCase


def test_equal_maps_look_the_same_whatever_was_read() -> None:
    older = PersistentMap([("b", 1), ("a", 2)])
    shown = repr(older)
    newer = older.remove("b")
    assert newer.get("a") == 2
    assert repr(older) == shown


def test_a_map_is_not_equal_to_a_dict() -> None:
    assert PersistentMap([("a", 1)]) != {"a": 1}


def test_the_empty_map_that_all_sessions_share_stays_out_of_their_chains() -> None:
    empty: PersistentMap[str, int] = PersistentMap()
    one, other = empty.insert("a", 1), empty.insert("b", 2)
    assert not any(isinstance(each, tuple) for each in gc.get_referents(empty))  # no difference
    assert (dict(one.items()), dict(other.items())) == ({"a": 1}, {"b": 2})


def test_replaced_values_are_freed_with_the_versions_that_have_them() -> None:
    class Value:
        """An object that the collector tracks, to be counted."""

    def alive() -> int:
        return sum(isinstance(each, Value) for each in gc.get_objects())

    newest = PersistentMap([("a", Value())])
    first = newest
    for _ in range(100_000):  # a chain that must not be freed by recursion
        newest = newest.insert("a", Value())
    assert alive() == 100_001
    del first
    assert alive() == 1
