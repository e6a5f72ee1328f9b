"""Secrets that the nodes of a book share."""

import threading

from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.shared_secrets import SharedSecrets


def test_the_first_value_of_a_secret_stays(connection: PostgresConnection) -> None:
    secrets = SharedSecrets(connection)
    assert secrets.find("key") is None
    assert secrets.share("key", b"\x00\xff") == b"\x00\xff"
    assert secrets.share("key", b"other") == b"\x00\xff"
    assert secrets.find("key") == b"\x00\xff"


def test_nodes_that_share_a_secret_at_the_same_time_get_the_same(postgres_book_url: str) -> None:
    found: list[bytes] = []
    ready = threading.Barrier(4)

    def share(number: int) -> None:
        connection = PostgresConnection(postgres_book_url)
        ready.wait()
        found.append(SharedSecrets(connection).share("key", bytes([number])))
        connection.close()

    nodes = [threading.Thread(target=share, args=(number,)) for number in range(4)]
    for node in nodes:
        node.start()
    for node in nodes:
        node.join()
    assert len(found) == 4
    assert len(set(found)) == 1
