"""`python -m bench.search.full_search PORT KEY`: search a whole book page by page, again and again, until it is ended.

Runs in a process of its own, with low priority: a real client is on another machine.
"""

import os
import sys
import threading

import msgspec

from bench.search.raw_requests import Connection, get_request

CONNECTIONS = 2
PATH = "/watch/v1/events?limit=1000"


class Page(msgspec.Struct, rename="camel"):
    """What is needed of a response."""

    next_cursor: str = ""


def search_book(port: int, key: str) -> None:
    """Read all pages of a search without filters, from the newest event to the oldest, for ever."""
    cursor = ""
    decode = msgspec.json.Decoder(Page).decode
    with Connection(port) as connection:
        while True:
            target = f"{PATH}&cursor={cursor}" if cursor else PATH
            response = connection.exchange(get_request(target, key=key))
            assert response.status == 200, response.body[:500]
            cursor = decode(response.body).next_cursor


def main() -> int:
    """Run the searches."""
    os.nice(10)
    port, key = int(sys.argv[1]), sys.argv[2]
    searches = [threading.Thread(target=search_book, args=(port, key)) for _ in range(CONNECTIONS)]
    for search in searches:
        search.start()
    for search in searches:
        search.join()
    return 1


if __name__ == "__main__":
    sys.exit(main())
