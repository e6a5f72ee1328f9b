"""One engine: sources, their publishers' and viewers' connections, and the sockets, put together.

Knows connections and sources by the caller's ids; no stage, no participant, no token.
"""

from collections.abc import Callable
from random import Random

from stagebook.media.port import Answer, MediaFact, PatchAnswer
from stagebook.media.webrtc.settings import EngineSettings


class Forwarder:
    """The forwarder of one process. All methods are called on its event loop's thread.

    `clock` gives monotonic seconds, `wall_clock` seconds since 1970 (for the NTP times of sender reports and the
    certificate), `randomness` must be fit for secrets (random.SystemRandom).
    """

    def __init__(
        self,
        settings: EngineSettings,
        *,
        hear: Callable[[MediaFact], None],
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        randomness: Random,
    ) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        """Bind the sockets and start the timers. Raises OSError if an address cannot be bound."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Say goodbye to all peers and close the sockets. No facts are told."""
        raise NotImplementedError

    @property
    def udp_port(self) -> int:
        """The bound port: the chosen one where the settings say 0."""
        raise NotImplementedError

    def publish(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        """As MediaEngine.publish, without waiting. Raises MediaRefusedError."""
        raise NotImplementedError

    def subscribe(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        """As MediaEngine.subscribe, without waiting. Raises MediaRefusedError."""
        raise NotImplementedError

    def patch(self, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer:
        """As MediaEngine.patch, without waiting. Raises MediaRefusedError."""
        raise NotImplementedError

    def close(self, *, connection_id: str) -> None:
        """End one connection; no fact is told. Unknown ids are fine."""
        raise NotImplementedError

    def end_source(self, *, source_id: str) -> None:
        """End a source, its publisher's connections and all of its viewers'; no facts are told. Unknown ids are fine."""
        raise NotImplementedError
