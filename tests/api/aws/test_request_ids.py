"""The request ids."""

from uuid import UUID

from stagebook.api.aws.request_ids import RequestIds
from tests.api.aws.asgi_harness import CountingRandomness


class HighRandomness:
    """Bytes with every bit set, so that the counter wraps at once."""

    def token_bytes(self, size_bytes: int) -> bytes:
        return b"\xff" * size_bytes


def test_ids_are_unique_uuids() -> None:
    for randomness in (CountingRandomness(), HighRandomness()):
        ids = RequestIds(randomness)
        given = [ids.next_id().decode() for _ in range(100)]

        assert len(set(given)) == 100
        assert all(UUID(text).version == 4 and str(UUID(text)) == text for text in given)
