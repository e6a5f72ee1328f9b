"""Which ingest process gets the next connection. Real processes are tested with the pool."""

import pytest

from stagebook.media.ingest.processes.ingest_worker import placement_rank

MAX_STREAMS = 4


def rank(connections: int, streams: int, *, is_overloaded: bool = False) -> tuple[int, int]:
    return placement_rank(
        connections=connections, streams=streams, max_streams=MAX_STREAMS, is_overloaded=is_overloaded
    )


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        pytest.param(rank(1, 1), rank(2, 0), id="fewer connections, which may all become streams"),
        pytest.param(rank(3, 3), rank(4, 0), id="room for all connections"),
        pytest.param(rank(9, 2), rank(4, 3), id="fewer streams, if connections are more than the room"),
        pytest.param(rank(9, 3), rank(4, 4), id="room for a stream"),
        pytest.param(rank(3, 3), rank(0, 0, is_overloaded=True), id="time left"),
        pytest.param(rank(4, 4), rank(5, 4), id="fewer connections, if both refuse"),
    ],
)
def test_the_lower_rank_is_that_of_the_process_with_more_room(better: tuple[int, int], worse: tuple[int, int]) -> None:
    assert better < worse
