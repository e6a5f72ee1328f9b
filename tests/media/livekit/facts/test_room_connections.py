"""The indexes are what a search of all connections finds, and a change costs the same however many there are."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from stagebook.media.connection_statistics import ConnectionRole
from stagebook.media.livekit.facts.room_connections import RoomConnection, RoomConnections
from stagebook.media.port import CloseCause
from tests.media.livekit.livekit_book import SOURCE, RecordedRooms
from tests.media.rtc.operation_count import count_operations

flags = st.fixed_dictionaries({name: st.booleans() for name in ("is_answered", "is_connected", "has_socket")})
steps = st.lists(st.tuples(st.integers(0, 9), st.one_of(st.none(), flags)), max_size=60)


def connection(number: int) -> RoomConnection:
    return RoomConnection(
        connection_id=f"c{number}",
        source_id=f"s{number % 3}",
        room="room",
        role=ConnectionRole.PUBLISHER if number < 4 else ConnectionRole.VIEWER,
        opened_at=0.0,
        publisher_id=None,
    )


@given(steps)
def test_indexes_are_what_a_search_finds(steps: list[tuple[int, dict[str, bool] | None]]) -> None:
    known: dict[str, RoomConnection] = {}
    indexed = RoomConnections()
    for number, changes in steps:
        one = connection(number)
        if changes is None:
            assert indexed.pop(one.connection_id) == known.pop(one.connection_id, None)
        else:
            known[one.connection_id] = replace(one, **changes)
            indexed.put(known[one.connection_id])
    publishers = {key: each for key, each in known.items() if each.role is ConnectionRole.PUBLISHER}
    viewers = {key: each for key, each in known.items() if each.role is ConnectionRole.VIEWER}
    assert len(indexed) == len(known)
    assert indexed.unconnected == {k: each for k, each in known.items() if each.is_answered and not each.is_connected}
    assert indexed.connected_publishers == {key: each for key, each in publishers.items() if each.is_connected}
    assert indexed.viewers_without_socket == {
        key: each for key, each in viewers.items() if each.is_connected and not each.has_socket
    }
    for source_id in ("s0", "s1", "s2"):
        assert indexed.publishers(source_id) == [each for each in publishers.values() if each.source_id == source_id]
        assert indexed.viewers(source_id) == [each for each in viewers.values() if each.source_id == source_id]
        assert indexed.has_any(source_id) is any(each.source_id == source_id for each in known.values())


def watched(viewers: int) -> RecordedRooms:
    book = RecordedRooms()
    book.publisher()
    book.rooms.note_connected("publisher")
    for number in range(viewers):
        book.viewer(f"viewer {number}")
        book.rooms.note_connected(f"viewer {number}")
    return book


def viewer_work(viewers: int) -> int:
    """The operations of the life of one viewer, beside so many others."""
    book = watched(viewers)

    def live() -> None:
        book.viewer("one")
        book.rooms.note_connected("one")
        book.rooms.unconnected()
        book.rooms.viewers_without_socket()
        book.rooms.note_ended("one", CloseCause.PEER_CLOSED)

    live()
    return count_operations(live)


def test_a_viewer_costs_the_same_beside_any_number_of_others() -> None:
    assert viewer_work(2_000) == viewer_work(20)


def test_the_end_of_a_source_takes_time_by_its_viewers() -> None:
    few, many = watched(20), watched(2_000)
    few_operations = count_operations(lambda: few.rooms.note_lost(SOURCE))
    assert count_operations(lambda: many.rooms.note_lost(SOURCE)) < few_operations * 110
    assert len(many.closed) == 2_001
