"""What the answers to pings mean, and from when on."""

from collections.abc import Sequence

import pytest

from stagebook.media.livekit.facts.livekit_pings import LiveKitPings, Reachability, http_check
from stagebook.media.livekit.livekit_access import LiveKitAccess
from stagebook.media.livekit.livekit_http import livekit_client
from stagebook.media.livekit.room_service import RoomService, RoomServiceError
from tests.media.livekit.fake_livekit import KEY, running_fake

REDIS_LOST = RoomServiceError("could not get rooms by names: connection refused", code="unknown")
REFUSED = RoomServiceError("connection refused", is_answered=False)


class Deployment:
    """A scripted deployment, and pings of it at times that the test sets."""

    def __init__(self) -> None:
        self.failure: RoomServiceError | None = None
        self.answers_http = True
        self.now = 100.0
        self.pings = LiveKitPings(
            self, answers_http=self._answers, monotonic=lambda: self.now, wall_clock=lambda: self.now + 1_000
        )

    async def list_rooms(self, names: Sequence[str] = ()) -> list[object]:
        assert names, "a list of all rooms grows with them"
        if self.failure is not None:
            raise self.failure
        return []

    async def _answers(self) -> bool:
        return self.answers_http

    async def ping(self) -> tuple[Reachability, float]:
        """Ping, 2 s after the last one. Return the state and since when it is so."""
        self.now += 2
        await self.pings.ping()
        state = self.pings.state
        assert state is not None
        assert (state.pinged_at, state.since_epoch_seconds) == (self.now, state.since + 1_000)
        return state.reachability, state.since


@pytest.mark.parametrize(
    ("failure", "answers_http", "expected"),
    [
        (None, True, Reachability.REACHABLE),
        (None, False, Reachability.REACHABLE),
        (REDIS_LOST, True, Reachability.FAILING),
        (REDIS_LOST, False, Reachability.FAILING),
        (REFUSED, True, Reachability.FAILING),
        (REFUSED, False, Reachability.UNREACHABLE),
    ],
)
async def test_what_the_answers_mean(
    failure: RoomServiceError | None, *, answers_http: bool, expected: Reachability
) -> None:
    deployment = Deployment()
    deployment.failure, deployment.answers_http = failure, answers_http
    assert (await deployment.ping())[0] is expected


async def test_a_state_has_begun_with_the_first_ping_of_it() -> None:
    deployment = Deployment()
    assert deployment.pings.state is None
    assert await deployment.ping() == (Reachability.REACHABLE, 102)
    assert await deployment.ping() == (Reachability.REACHABLE, 102)
    deployment.failure = REDIS_LOST
    assert await deployment.ping() == (Reachability.FAILING, 106)
    deployment.failure = None
    assert await deployment.ping() == (Reachability.REACHABLE, 108)


async def test_a_server_is_reachable_that_answers_and_unreachable_when_it_has_ended() -> None:
    client = livekit_client(max_connections=2)
    async with running_fake() as fake:
        pings = LiveKitPings(
            RoomService(client, url=fake.url, access=LiveKitAccess(KEY, wall_clock=lambda: 1e9)),
            answers_http=http_check(client, url=fake.url),
            monotonic=lambda: 0.0,
            wall_clock=lambda: 0.0,
        )
        await pings.ping()
        # The token is decades old. LiveKit refuses it, but answers.
        found = [pings.state]
    await pings.ping()
    await client.aclose()
    found.append(pings.state)
    assert [state and state.reachability for state in found] == [Reachability.FAILING, Reachability.UNREACHABLE]
