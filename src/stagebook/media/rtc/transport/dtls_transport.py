"""DTLS of one connection on its paths: when the handshake may begin, where its datagrams go, when they are repeated.

The association itself (`dtls_association`) does no I/O. Here is what the network adds: a slot of the peer's network
while the handshake is in progress, a limit of the peer's datagrams, and the path over which the last one came. The
owner looks at the state of the association after each call.
"""

from typing import Final

from stagebook.media.rtc.dtls.dtls_association import DtlsAssociation, DtlsState
from stagebook.media.rtc.ice.udp_socket import Path
from stagebook.media.rtc.transport.handshake_slots import HandshakeSlot, HandshakeSlots
from stagebook.media.rtc.transport.transport_statistics import TransportStatistics

DTLS_DATAGRAMS_PER_SECOND: Final = 50
"""Limit for one peer. A handshake takes about ten datagrams; each may cost a signature."""


class DtlsTransport:
    """The DTLS association of one connection, with its network."""

    def __init__(
        self, association: DtlsAssociation, *, handshakes: HandshakeSlots, statistics: TransportStatistics
    ) -> None:
        """`handshakes` are shared by the connections of an engine, as are the `statistics`."""
        self.association = association
        self.path: Path | None = None
        """Where the last datagram came from."""
        self._handshakes = handshakes
        self._statistics = statistics
        self._slot: HandshakeSlot | None = None
        """The slot of the handshake, while it is in progress."""
        self._datagrams_left = DTLS_DATAGRAMS_PER_SECOND
        self._due_at: float | None = None

    @property
    def state(self) -> DtlsState:
        """The state of the association."""
        return self.association.state

    def start(self, path: Path, now: float) -> bool:
        """Begin the handshake over `path` if that is our part and it has not begun. Return whether it does."""
        if not self.association.is_client or self.association.has_started or not self._has_slot(path):
            return False
        self.path = path
        self.association.start()
        self._flush(path, now)
        return True

    def receive(self, datagram: bytes, path: Path, now: float, *, is_connecting: bool) -> bool:
        """Take one datagram that came over `path`, and answer it there. Return False if it is dropped: the peer has
        sent too many, or its network has no slot for a handshake."""
        if self._datagrams_left == 0:
            return False
        if is_connecting and not self._has_slot(path):
            self._statistics.delayed_handshakes += 1
            return False
        self._datagrams_left -= 1
        self.path = path
        self.association.receive(datagram)
        self._flush(path, now)
        return True

    def handle_timers(self, selected: Path | None, now: float) -> bool:
        """Repeat a lost flight when it is due. `selected` is the path that ICE has. Return whether one was due."""
        if self._due_at is None or now < self._due_at:
            return False
        self.association.handle_timeout()
        # As the client we may have had no answer yet, and the peer may have nominated another path meanwhile.
        self._flush(selected if self.association.is_client else self.path, now)
        return True

    def reset_rate_limit(self) -> None:
        """Start a new second of the limit."""
        self._datagrams_left = DTLS_DATAGRAMS_PER_SECOND

    def release_slot(self) -> None:
        """The handshake is over. A second call does nothing."""
        if self._slot is not None:
            self._handshakes.leave(self._slot)
            self._slot = None

    def log_failure(self, *, connection_id: str, reason: str) -> None:
        """Log why the handshake failed, once for a connection."""
        self._handshakes.log_failure(connection_id=connection_id, reason=reason)

    def close(self, path: Path | None, *, as_failure: bool) -> None:
        """Send close_notify over `path`. With `as_failure` the peer is sent a fatal alert first."""
        self.release_slot()
        self.association.close(as_failure=as_failure)
        self._send(path)

    def _has_slot(self, path: Path) -> bool:
        """Take a slot for the handshake if it has none yet. False if the peer's network has no more."""
        if self._slot is None:
            self._slot = self._handshakes.enter(str(path.address[0]))
        return self._slot is not None

    def _flush(self, path: Path | None, now: float) -> None:
        """Send what the association has to send, and note when it is to be repeated."""
        self._send(path)
        timeout = self.association.timeout_seconds
        self._due_at = None if timeout is None else now + timeout

    def _send(self, path: Path | None) -> None:
        for datagram in self.association.take_datagrams():
            if path is not None:
                path.send(datagram)
