"""A viewer for tests: a down track whose packets are kept and can be decrypted."""

from stagebook.media.rtc.ice.udp_socket import Address
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket, parse_rtp
from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.statistics.engine_statistics import MediaCounters
from stagebook.media.rtc.srtp.srtp_session import (
    AEAD_AES_128_GCM,
    SrtpKeys,
    SrtpProfile,
    SrtpSession,
    keying_material_size_bytes,
)


class FakeViewer:
    """One down track and everything that is sent to it."""

    def __init__(self, ssrc: int = 5, *, profile: SrtpProfile = AEAD_AES_128_GCM, sequence_offset: int = 0) -> None:
        keys = SrtpKeys.from_keying_material(profile, bytes(range(keying_material_size_bytes(profile))))
        self._sender = SrtpSession(keys)
        self._receiver = SrtpSession(SrtpKeys(profile=profile, client=keys.server, server=keys.client))
        self.datagrams: list[tuple[bytes, Address]] = []
        self.runs: list[int] = []
        """The number of datagrams of each call that sends several."""
        self.down_track = DownTrack(ssrc=ssrc, payload_type=100, counters=MediaCounters())
        self.down_track.srtp = self._sender.outbound
        self.down_track.sequence_offset = sequence_offset
        self.down_track.address = ("192.0.2.1", ssrc)
        self.down_track.sendto = self._sendto
        self.down_track.send_run = self._send_run

    def _sendto(self, data: memoryview, address: Address) -> int:
        """Record what a socket would send. The buffer is reused, so a copy is kept."""
        self.datagrams.append((bytes(data), address))
        return len(data)

    def _send_run(self, data: memoryview, size: int, address: Address) -> int:
        """Record what a socket would send by one call, datagram by datagram."""
        self.runs.append(-(-len(data) // size))
        for start in range(0, len(data), size):
            self._sendto(data[start : start + size], address)
        return self.runs[-1]

    @property
    def packets(self) -> list[RtpPacket]:
        """The received packets, decrypted. Can be read once: SRTP would reject a second decryption as a replay."""
        decrypted = [self._receiver.unprotect_rtp(datagram) for datagram, _ in self.datagrams]
        parsed = [parse_rtp(packet) for packet in decrypted if packet is not None]
        assert len(parsed) == len(self.datagrams)
        return [packet for packet in parsed if packet is not None]
