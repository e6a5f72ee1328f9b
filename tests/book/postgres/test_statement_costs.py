"""What a group and a page cost between a node and the database: one round trip, and few bytes beside the rows."""

from collections.abc import Iterator

import pytest

from stagebook.book.postgres.leases.node_run import renew_run
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.tables.table_event_log import READ_LOG
from stagebook.book.tables.table_reader import TableReader
from stagebook.stage.events import EventName
from tests.book import sample
from tests.book.postgres.cuttable_proxy import CuttableProxy
from tests.book.postgres.group_writer import GroupWriter

EVENTS = 50


class Costs:
    """A writer and a reader whose bytes are counted, on one connection that has prepared its statements."""

    def __init__(self, proxy: CuttableProxy, connection: PostgresConnection) -> None:
        self._proxy = proxy
        self.connection = connection
        self.writer = GroupWriter(connection)
        self.reader = TableReader(connection, show_deleted_history=False)
        self.writer.write([sample.put_stage(), sample.open_session(), sample.put("p")])

    def reset(self) -> None:
        """Count from here."""
        self._proxy.request_bytes = self._proxy.answer_bytes = self._proxy.round_trips = 0

    @property
    def counted(self) -> tuple[int, int, int]:
        """Round trips, bytes of requests, and bytes of answers."""
        return self._proxy.round_trips, self._proxy.request_bytes, self._proxy.answer_bytes


@pytest.fixture
def costs(postgres_book_url: str) -> Iterator[Costs]:
    with CuttableProxy(postgres_book_url) as proxy:
        connection = PostgresConnection(proxy.url)
        yield Costs(proxy, connection)
        connection.close()


def test_a_group_of_one_event_is_one_round_trip_of_few_bytes(costs: Costs) -> None:
    costs.reset()
    costs.writer.write([sample.append("p")])
    round_trips, request_bytes, answer_bytes = costs.counted
    assert round_trips == 1
    assert request_bytes < 350
    assert answer_bytes < 150


def test_a_group_of_many_events_is_one_round_trip_and_their_rows(costs: Costs) -> None:
    changes = [[sample.append("p", EventName.SUBSCRIBE_STARTED, at_ms=sample.NOON_MS + n)] for n in range(EVENTS)]
    costs.reset()
    costs.writer.write(*changes)
    round_trips, request_bytes, answer_bytes = costs.counted
    assert round_trips == 1
    assert request_bytes < 300 + 75 * EVENTS
    assert answer_bytes < 150


def test_a_heartbeat_is_one_round_trip_of_few_bytes(costs: Costs) -> None:
    renew_run(costs.connection, costs.writer.run_id)
    costs.reset()
    renew_run(costs.connection, costs.writer.run_id)
    round_trips, request_bytes, answer_bytes = costs.counted
    assert round_trips == 1
    assert request_bytes + answer_bytes < 250


def test_a_page_of_events_is_one_round_trip_and_its_rows(costs: Costs) -> None:
    costs.writer.write([sample.append("p", at_ms=sample.NOON_MS + n) for n in range(EVENTS)])
    page = (sample.ARN, sample.SESSION, "p")
    costs.reader.page_events(*page, after=None, limit=EVENTS)
    costs.reset()
    rows = costs.reader.page_events(*page, after=None, limit=EVENTS)
    round_trips, request_bytes, answer_bytes = costs.counted
    assert len(rows) == EVENTS
    assert round_trips == 1
    assert request_bytes < 300
    assert answer_bytes < 400 + 70 * EVENTS


def test_a_position_of_any_size_uses_the_same_prepared_statement(costs: Costs) -> None:
    for after in (1, 1 << 20, 1 << 40):
        costs.connection.rows(READ_LOG, {"after": after, "limit": 1})
    statements = costs.connection.execute("SELECT statement FROM pg_prepared_statements")
    assert len([text for (text,) in statements if "event.sequence > $1" in text]) == 1
