"""Participants that publish: each has a connection to an engine, but sends no media."""

import asyncio
import re
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx

from tests.chaos.chaos_cluster import DEADLINE_SECONDS, ChaosNode
from tests.media.rtc.raw_peer import RawPeer
from tests.soak.media_peer import post_offer

CONSENT_SECONDS: Final = 4.0
PAUSE_SECONDS: Final = 0.1
_CANDIDATE: Final = re.compile(r"a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+) typ host")
_Result = TypeVar("_Result")


class ChaosPeers:
    """Runs participants on an event loop of its own thread, while it is entered."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._peers: list[RawPeer] = []
        self._consents: list[asyncio.Task[None]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close_all()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def publish(self, node: ChaosNode, token: str) -> Future[float]:
        """Let a participant join through a node, and try again while it gets 503 or no answer.

        The future gives the time, by `time.time`, at which it was connected.
        """
        return self._call(self._publish(node, token))

    def close_all(self) -> None:
        """End all participants, without a word to the server."""
        self._call(self._close()).result(DEADLINE_SECONDS)

    def _call(self, work: Coroutine[Any, Any, _Result]) -> Future[_Result]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _publish(self, node: ChaosNode, token: str) -> float:
        async with httpx.AsyncClient() as http, asyncio.timeout(DEADLINE_SECONDS):
            while not await self._try_to_publish(http, node, token):  # noqa: ASYNC110 - the server is asked again
                await asyncio.sleep(PAUSE_SECONDS)
        return time.time()

    async def _try_to_publish(self, http: httpx.AsyncClient, node: ChaosNode, token: str) -> bool:
        peer = RawPeer()
        try:
            response = await post_offer(http, f"{node.url}/whip", token, peer.offer("sendonly"))
            if response.status_code == 201 and (found := _CANDIDATE.search(response.text)) is not None:
                await peer.connect(response.text, int(found[1]))
                self._peers.append(peer)
                self._consents.append(asyncio.create_task(_keep_consent(peer)))
                return True
        except (httpx.TransportError, TimeoutError):
            pass
        else:
            assert response.status_code == 503, (response.status_code, response.text)
        peer.close()
        return False

    async def _close(self) -> None:
        for consent in self._consents:
            consent.cancel()
        for peer in self._peers:
            peer.close()
        self._consents, self._peers = [], []


async def _keep_consent(peer: RawPeer) -> None:
    while True:
        await asyncio.sleep(CONSENT_SECONDS)
        await peer.send_datagram(peer.check_message())
