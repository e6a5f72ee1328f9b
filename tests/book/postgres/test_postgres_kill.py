"""The book in PostgreSQL after `kill -9` of a node, and of the database under load: what was acknowledged is there."""

import random
import time

from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_readers import open_reader
from stagebook.book.postgres.postgres_schema import migrate
from tests.book.kill_checks import Acknowledged, acknowledgements, append_until_killed, check_book, start_appender
from tests.book.postgres_books import empty_tables
from tests.postgres_server import running_server

ROUNDS = 3
SEED = 20230426
OUTAGES_AFTER_LINES = (100, 200)
OUTAGE_SECONDS = 0.3
_EXPIRE = "UPDATE node_run SET heartbeat_at = heartbeat_at - interval '1 minute'"


def test_kill_9_of_a_node_loses_splits_and_duplicates_no_transaction(postgres_database: str) -> None:
    empty_tables(postgres_database)
    control = PostgresConnection(postgres_database)
    moments = random.Random(SEED)
    acknowledged: list[Acknowledged] = []
    for round_number in range(ROUNDS):
        acknowledged += append_until_killed(postgres_database, f"round{round_number}", moments.randrange(1, 400))
        control.execute(_EXPIRE)  # Otherwise the next round would wait for the lease.
        reader = open_reader(postgres_database)
        check_book(reader, acknowledged)
        reader.close_reading()
    control.close()


def test_a_node_goes_on_after_kill_9_of_the_database() -> None:
    with running_server() as server:
        control = PostgresConnection(server.url())
        migrate(control)
        control.close()
        with start_appender(server.url(), "outage") as child:
            assert child.stdout is not None
            printed = b""
            for lines in OUTAGES_AFTER_LINES:
                printed += b"".join(child.stdout.readline() for _ in range(lines))
                server.kill()
                time.sleep(OUTAGE_SECONDS)
                server.start()
            printed += b"".join(child.stdout.readline() for _ in range(100))
            child.kill()
            printed += child.stdout.read()
        reader = open_reader(server.url())
        check_book(reader, acknowledgements(printed))
        reader.close_reading()
