"""The connections that wait for a request, and which of them makes room."""

from unittest.mock import Mock

from stagebook.server.http.idle_connections import IdleConnection, IdleConnections


def test_the_connection_that_has_waited_longest_is_closed() -> None:
    idle = IdleConnections()
    first, second, third = (Mock(spec=IdleConnection) for _ in range(3))
    for each in (first, second, third, first):
        idle.add(each)
    idle.discard(first)
    idle.add(first)
    idle.close_oldest()
    assert [each.close_idle.call_count for each in (first, second, third)] == [0, 1, 0]
    idle.discard(third)
    idle.close_oldest()
    idle.close_oldest()
    assert [each.close_idle.call_count for each in (first, second, third)] == [1, 1, 0]
    assert len(idle) == 0
