"""A WebRTC peer without a media stack, so that a test can send and see every single packet.

It does ICE as the controlling agent, DTLS in either role, and SRTP, with aioice, pyOpenSSL and pylibsrtp.
"""

import asyncio
import secrets
import socket
from collections.abc import Iterator
from datetime import UTC, datetime

from aioice import stun
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from pylibsrtp import Policy, Session

from stagebook.media.rtc.dtls.dtls_certificate import dtls_context, make_certificate
from stagebook.media.rtc.rtp.rtcp import RtcpMessage, make_parse_budget, parse_rtcp
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket, parse_rtp
from stagebook.media.rtc.sdp.header_extensions import REPAIRED_RID_URI, RID_URI

VIDEO_PAYLOAD_TYPE, RTX_PAYLOAD_TYPE, AUDIO_PAYLOAD_TYPE, RED_PAYLOAD_TYPE = 96, 97, 111, 63
RID_EXTENSION, REPAIRED_RID_EXTENSION = 5, 6
WAIT_SECONDS = 10.0
BINDING_REQUEST = b"\x00\x01"
"""The type of a STUN message (RFC 8489 section 5)."""

# For each profile: pylibsrtp's number, the size of the key and the size of the salt.
_POLICIES = {
    b"SRTP_AEAD_AES_128_GCM": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    b"SRTP_AES128_CM_SHA1_80": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
}


class RawPeer:
    """One connection to an engine on loopback: make an offer, pass the answer to `connect`, then send and receive."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        *,
        local_host: str | None = None,
        srtp_profiles: bytes | None = None,
        is_dtls_server: bool = False,
        curve: ec.EllipticCurve | None = None,
    ) -> None:
        """`host` is the engine's, `local_host` the peer's, by default the same.

        `is_dtls_server`: offer a=setup:passive and wait for the engine's ClientHello. `curve` is that of the key."""
        self._certificate = make_certificate(datetime.now(UTC), curve)
        self._is_dtls_server = is_dtls_server
        context = dtls_context(self._certificate)
        if srtp_profiles is not None:
            context.set_tlsext_use_srtp(srtp_profiles)
        self._dtls = SSL.Connection(context)
        if is_dtls_server:
            self._dtls.set_accept_state()
        else:
            self._dtls.set_connect_state()
        self._dtls.set_ciphertext_mtu(1200)
        self.ufrag, self.pwd = secrets.token_hex(4), secrets.token_hex(16)
        self.server_ufrag = self.server_pwd = ""
        self._host, self._local_host = host, local_host or host
        self._engine: tuple[str, int] = (host, 0)
        self.socket = self._open_socket()
        self._outbound: Session | None = None
        self._inbound: Session | None = None
        self.srtp_profile = b""

    @property
    def engine_address(self) -> tuple[str, int]:
        """The address of the engine's socket, once `connect` was called."""
        return self._engine

    # Session descriptions

    def offer(
        self,
        direction: str,
        *,
        codec: str = "VP8",
        rtx: bool = True,
        audio: bool = True,
        rids: tuple[str, ...] = (),
        extra_video: tuple[str, ...] = (),
        extra_audio: tuple[str, ...] = (),
        red: bool = False,
    ) -> str:
        """Return an offer with a video section and, with `audio`, an audio section.

        `direction` is sendonly or recvonly, `extra_video` and `extra_audio` further lines of a section. With `red`,
        audio is offered with redundancy.
        """
        lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0"]
        lines.append("a=group:BUNDLE 0 1" if audio else "a=group:BUNDLE 1")
        if audio:
            types = f"{AUDIO_PAYLOAD_TYPE} {RED_PAYLOAD_TYPE}" if red else f"{AUDIO_PAYLOAD_TYPE}"
            lines += [f"m=audio 9 UDP/TLS/RTP/SAVPF {types}", *self._transport("0", direction)]
            lines.append(f"a=rtpmap:{AUDIO_PAYLOAD_TYPE} opus/48000/2")
            if red:
                lines.append(f"a=rtpmap:{RED_PAYLOAD_TYPE} red/48000/2")
                lines.append(f"a=fmtp:{RED_PAYLOAD_TYPE} {AUDIO_PAYLOAD_TYPE}/{AUDIO_PAYLOAD_TYPE}")
            lines += extra_audio
        types = f"{VIDEO_PAYLOAD_TYPE} {RTX_PAYLOAD_TYPE}" if rtx else f"{VIDEO_PAYLOAD_TYPE}"
        lines += [f"m=video 9 UDP/TLS/RTP/SAVPF {types}", *self._transport("1", direction)]
        lines.append(f"a=rtpmap:{VIDEO_PAYLOAD_TYPE} {codec}/90000")
        if codec == "H264":
            lines.append(f"a=fmtp:{VIDEO_PAYLOAD_TYPE} packetization-mode=1;profile-level-id=42e01f")
        lines += [
            f"a=rtcp-fb:{VIDEO_PAYLOAD_TYPE} {feedback}" for feedback in ("nack", "nack pli", "ccm fir", "goog-remb")
        ]
        if rtx:
            lines += [f"a=rtpmap:{RTX_PAYLOAD_TYPE} rtx/90000", f"a=fmtp:{RTX_PAYLOAD_TYPE} apt={VIDEO_PAYLOAD_TYPE}"]
        lines += self._simulcast(rids)
        return "\r\n".join([*lines, *extra_video]) + "\r\n"

    def _transport(self, mid: str, direction: str) -> list[str]:
        digest = self._certificate.fingerprint.digest.hex(":").upper()
        return [
            "c=IN IP4 0.0.0.0",
            f"a=mid:{mid}",
            f"a=ice-ufrag:{self.ufrag}",
            f"a=ice-pwd:{self.pwd}",
            f"a=fingerprint:sha-256 {digest}",
            "a=setup:passive" if self._is_dtls_server else "a=setup:actpass",
            f"a={direction}",
            "a=rtcp-mux",
            "a=rtcp-rsize",
        ]

    @staticmethod
    def _simulcast(rids: tuple[str, ...]) -> list[str]:
        if not rids:
            return []
        return [
            f"a=extmap:{RID_EXTENSION} {RID_URI}",
            f"a=extmap:{REPAIRED_RID_EXTENSION} {REPAIRED_RID_URI}",
            *(f"a=rid:{rid} send" for rid in rids),
            "a=simulcast:send " + ";".join(rids),
        ]

    # Transport

    async def connect(self, answer: str, port: int) -> None:
        """Send a check, complete the DTLS handshake and make the SRTP keys. Raises TimeoutError."""
        self._engine = (self._host, port)
        self.take_credentials(answer)
        await self.check()
        await self._complete_handshake()
        self._make_srtp()

    def take_credentials(self, description: str) -> None:
        """Read the engine's ICE credentials from an answer or a trickle fragment."""
        for line in description.splitlines():
            if line.startswith("a=ice-ufrag:"):
                self.server_ufrag = line.partition(":")[2]
            elif line.startswith("a=ice-pwd:"):
                self.server_pwd = line.partition(":")[2]

    def check_message(self, *, nominate: bool = True, password: str | None = None) -> bytes:
        """Return a connectivity check."""
        message = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        message.attributes["USERNAME"] = f"{self.server_ufrag}:{self.ufrag}"
        message.attributes["PRIORITY"] = 1
        message.attributes["ICE-CONTROLLING"] = 1
        if nominate:
            message.attributes["USE-CANDIDATE"] = None
        message.add_message_integrity((self.server_pwd if password is None else password).encode())
        return bytes(message)

    async def check(self, *, nominate: bool = True) -> None:
        """Send a connectivity check and wait for its response. Raises TimeoutError."""
        await self.send_datagram(self.check_message(nominate=nominate))
        while True:
            datagram = await self.receive_datagram()
            if datagram[0] < 4 and datagram[:2] != BINDING_REQUEST:
                assert stun.parse_message(datagram).check_message_integrity(self.server_pwd.encode())
                return

    def change_address(self) -> None:
        """Get a new address, like a client that changes its network."""
        self.socket.close()
        self.socket = self._open_socket()

    def close(self) -> None:
        """Close the socket without close_notify."""
        self.socket.close()

    async def send_close_notify(self) -> None:
        """Send close_notify."""
        self._dtls.shutdown()
        await self._flush()

    async def send_datagram(self, datagram: bytes) -> None:
        """Send a datagram as it is."""
        await asyncio.get_running_loop().sock_sendto(self.socket, datagram, self._engine)

    async def receive_datagram(self, timeout_seconds: float = WAIT_SECONDS) -> bytes:
        """Return the next datagram. The engine's binding requests before it are dropped. Raises TimeoutError."""
        while True:
            receiving = asyncio.get_running_loop().sock_recv(self.socket, 2048)
            datagram = await asyncio.wait_for(receiving, timeout_seconds)
            if datagram[:2] != BINDING_REQUEST:
                return datagram

    async def receive_probe(self) -> stun.Message:
        """Return the engine's next binding request. Other datagrams before it are dropped. Raises TimeoutError."""
        while True:
            receiving = asyncio.get_running_loop().sock_recv(self.socket, 2048)
            datagram = await asyncio.wait_for(receiving, WAIT_SECONDS)
            if datagram[:2] == BINDING_REQUEST:
                message = stun.parse_message(datagram)
                assert message.check_message_integrity(self.pwd.encode())
                return message

    async def answer_probe(self) -> None:
        """Answer the engine's next binding request. Raises TimeoutError."""
        probe = await self.receive_probe()
        assert probe.attributes["USERNAME"] == f"{self.ufrag}:{self.server_ufrag}"
        await self.send_datagram(self.probe_response(probe, password=self.pwd))

    def probe_response(self, probe: stun.Message, *, password: str) -> bytes:
        """Return a response to a binding request of the engine, signed with a password."""
        response = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.RESPONSE,
            transaction_id=probe.transaction_id,
        )
        response.attributes["XOR-MAPPED-ADDRESS"] = self._engine
        response.add_message_integrity(password.encode())
        return bytes(response)

    def _open_socket(self) -> socket.socket:
        opened = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET, socket.SOCK_DGRAM)
        opened.setblocking(False)  # noqa: FBT003 - the socket's own signature
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        opened.bind((self._local_host, 0))
        return opened

    async def _complete_handshake(self) -> None:
        while True:
            try:
                self._dtls.do_handshake()
            except SSL.WantReadError:
                await self._flush()
                datagram = await self.receive_datagram()
                if 19 < datagram[0] < 64:
                    self._dtls.bio_write(datagram)
            else:
                await self._flush()
                return

    async def _flush(self) -> None:
        while True:
            try:
                datagram = self._dtls.bio_read(1500)
            except SSL.Error:
                return
            await self.send_datagram(datagram)

    def _make_srtp(self) -> None:
        self.srtp_profile = self._dtls.get_selected_srtp_profile()
        profile, key, salt = _POLICIES[self.srtp_profile]
        material = self._dtls.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt))
        client = material[:key] + material[2 * key : 2 * key + salt]
        server = material[key : 2 * key] + material[2 * key + salt :]
        if self._is_dtls_server:
            client, server = server, client
        outbound = Policy(key=client, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile)
        outbound.allow_repeat_tx = True
        outbound.window_size = 1024
        self._outbound = Session(outbound)
        inbound = Policy(key=server, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=profile)
        inbound.window_size = 1024
        self._inbound = Session(inbound)

    # Media

    async def send_rtp(self, packet: bytes) -> None:
        """Protect and send an RTP packet."""
        assert self._outbound is not None
        await self.send_datagram(self._outbound.protect(packet))

    async def send_rtcp(self, compound: bytes) -> None:
        """Protect and send an RTCP compound."""
        assert self._outbound is not None
        await self.send_datagram(self._outbound.protect_rtcp(compound))

    async def receive(self, timeout_seconds: float = WAIT_SECONDS) -> RtpPacket | list[RtcpMessage]:
        """Return the next media packet: an RTP packet, or the messages of an RTCP compound. Raises TimeoutError."""
        while True:
            received = self.unprotect(await self.receive_datagram(timeout_seconds))
            if received is not None:
                return received

    async def receive_rtp(self, timeout_seconds: float = WAIT_SECONDS) -> RtpPacket:
        """Return the next RTP packet. RTCP before it is dropped. Raises TimeoutError."""
        while True:
            received = await self.receive(timeout_seconds)
            if isinstance(received, RtpPacket):
                return received

    async def receive_rtcp(self, message_type: type[RtcpMessage], timeout_seconds: float = WAIT_SECONDS) -> RtcpMessage:
        """Return the next RTCP message of a type. Other packets before it are dropped. Raises TimeoutError."""
        while True:
            received = await self.receive(timeout_seconds)
            for message in received if isinstance(received, list) else ():
                if isinstance(message, message_type):
                    return message

    async def receive_rtcp_containing(self, content: bytes) -> bytes:
        """Return the next RTCP compound that contains `content`. Other packets are dropped. Raises TimeoutError."""
        assert self._inbound is not None
        while True:
            datagram = await self.receive_datagram()
            if 127 < datagram[0] < 192 and 192 <= datagram[1] <= 223:
                compound = bytes(self._inbound.unprotect_rtcp(datagram))
                if content in compound:
                    return compound

    def pending(self) -> Iterator[RtpPacket | list[RtcpMessage]]:
        """Yield all media packets that have arrived."""
        while True:
            try:
                datagram = self.socket.recv(2048)
            except BlockingIOError:
                return
            received = self.unprotect(datagram)
            if received is not None:
                yield received

    def unprotect(self, datagram: bytes) -> RtpPacket | list[RtcpMessage] | None:
        """Return the content of a datagram; None if it is not media."""
        assert self._inbound is not None
        if not 127 < datagram[0] < 192:
            return None
        if 192 <= datagram[1] <= 223:
            return list(parse_rtcp(self._inbound.unprotect_rtcp(datagram), make_parse_budget()))
        return parse_rtp(self._inbound.unprotect(datagram))
