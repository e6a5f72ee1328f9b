"""The limit on invalid tokens: what counts, whom it affects, and that the address decides."""

import httpx
import pytest

from stagebook.api.participants.participants_api import ParticipantsApi
from stagebook.api.participants.request_limits import RequestLimits
from stagebook.stage.errors import TokenRefusal, TokenRefusedError
from tests.api.participants.fake_manager import TOKEN, FakeManager

FORGED = "forged.token.here"
LIMITS = RequestLimits(invalid_tokens_burst=3, invalid_tokens_per_second=1.0, tracked_addresses=2)


class ApiClient:
    """Sends requests to one API from any address, at a time that tests set."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.manager = FakeManager()
        self._api = ParticipantsApi(self.manager, limits=LIMITS, monotonic=lambda: self.seconds)

    async def status(self, token: str, *, address: str = "192.0.2.1", method: str = "POST", opener: str = "") -> int:
        transport = httpx.ASGITransport(self._api, client=(address, 1))
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
        headers |= {"Connection-Token": opener} if opener else {}
        path = "/whip" if method == "POST" else "/whip/resource/connection-1"
        async with httpx.AsyncClient(transport=transport, base_url="http://stagebook") as client:
            return (await client.request(method, path, content="v=0", headers=headers)).status_code

    async def forge(self, count: int, *, address: str = "192.0.2.1") -> list[int]:
        return [await self.status(f"forged.{number}.x", address=address) for number in range(count)]


@pytest.fixture
def client() -> ApiClient:
    return ApiClient()


async def test_invalid_tokens_of_an_address_are_limited_and_refill(client: ApiClient) -> None:
    assert await client.forge(5) == [401, 401, 401, 429, 429]
    client.seconds += 1
    assert await client.forge(2) == [401, 429]


async def test_another_address_is_not_affected(client: ApiClient) -> None:
    await client.forge(5)
    assert await client.status(TOKEN, address="192.0.2.2") == 201
    assert await client.forge(1, address="192.0.2.2") == [401]


async def test_a_known_token_of_the_same_address_is_not_affected_and_an_unknown_one_is(client: ApiClient) -> None:
    await client.forge(5)
    assert await client.status(TOKEN) == 429
    client.manager.known_tokens.add(TOKEN)
    assert await client.status(TOKEN) == 201
    assert await client.status(TOKEN, method="DELETE") == 200


async def test_valid_tokens_and_repetitions_of_an_invalid_one_are_not_counted(client: ApiClient) -> None:
    client.manager.known_tokens.add(FORGED)
    assert [await client.status(FORGED) for _ in range(5)] == [401] * 5
    assert [await client.status(TOKEN) for _ in range(5)] == [201] * 5


@pytest.mark.parametrize("refusal", [TokenRefusal.EXPIRED, TokenRefusal.STAGE_DELETED])
async def test_a_genuine_token_that_is_not_valid_any_more_is_not_counted(
    client: ApiClient, refusal: TokenRefusal
) -> None:
    client.manager.admission_failure = TokenRefusedError(refusal=refusal, detail="too late")
    statuses = [await client.status(TOKEN) for _ in range(5)]
    assert 429 not in statuses


async def test_an_unknown_connection_token_counts_like_an_unknown_participant_token(client: ApiClient) -> None:
    client.manager.known_tokens.add(TOKEN)
    client.manager.admission_failure = TokenRefusedError(refusal=TokenRefusal.CONNECTION_TOKEN, detail="forged")
    assert [await client.status(TOKEN, opener=f"o.{number}.x") for number in range(4)] == [403, 403, 403, 429]


@pytest.mark.parametrize(
    ("first", "second", "is_one"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("", "", True),
        ("unix", "unix", True),
    ],
)
async def test_the_addresses_that_share_a_limit(client: ApiClient, first: str, second: str, *, is_one: bool) -> None:
    await client.forge(3, address=first)
    assert await client.forge(1, address=second) == [429 if is_one else 401]


async def test_the_number_of_addresses_is_bounded(client: ApiClient) -> None:
    for number in range(10):
        await client.forge(1, address=f"192.0.2.{number}")
    events = client._api._events
    assert len(events._admission._buckets) == LIMITS.tracked_addresses


async def test_a_valid_token_leaves_nothing_in_memory(client: ApiClient) -> None:
    assert await client.status(TOKEN) == 201
    assert not client._api._events._admission._buckets
