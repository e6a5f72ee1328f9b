"""A media endpoint and peer listener for tests of the transport alone."""

from stagebook.media.port import CloseCause
from stagebook.media.rtc.transport.peer_connection import PeerConnection


class NullEndpoint:
    """A media endpoint and peer listener that ignores every call."""

    def connected(self, peer: PeerConnection, now: float) -> None:
        """Do nothing."""

    def path_changed(self, *, quiet_seconds: float, now: float) -> None:
        """Do nothing."""

    def closed(self) -> None:
        """Do nothing."""

    def receive_rtp(self, packet: bytes, now: float) -> None:
        """Do nothing."""

    def receive_rtcp(self, compound: bytes, now: float) -> None:
        """Do nothing."""

    def peer_connected(self, peer: PeerConnection, now: float) -> None:
        """Do nothing."""

    def peer_failed(self, peer: PeerConnection, cause: CloseCause) -> None:
        """Do nothing."""
