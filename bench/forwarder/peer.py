"""A peer of the engine: a controlling ICE agent, a DTLS client and SRTP, on one UDP socket."""

import asyncio
import secrets
import socket
from datetime import UTC, datetime

from aioice import stun
from OpenSSL import SSL
from pylibsrtp import Policy, Session

from bench.forwarder.sdp import LocalPeer, RemotePeer, read_transport
from stagebook.media.rtc.dtls.dtls_certificate import dtls_context, make_certificate
from stagebook.media.rtc.srtp.srtp_session import AEAD_AES_128_GCM, SrtpKeys, keying_material_size_bytes

_CONNECT_TIMEOUT_SECONDS = 30.0
_RETRY_SECONDS = 0.25
_BUFFER_SIZE_BYTES = 1 << 20
_DATAGRAM_SIZE_BYTES = 2_048
_PRIORITY = 2_130_706_431
_EXPORTER_LABEL = b"EXTRACTOR-dtls_srtp"
_MTU_BYTES = 1_200


class DtlsIdentity:
    """The DTLS certificate that all peers of the process share."""

    def __init__(self) -> None:
        certificate = make_certificate(datetime.now(UTC))
        self.context = dtls_context(certificate)
        self.digest = certificate.fingerprint.digest


class Peer:
    """Connects and sends consent checks. Subclasses override `on_rtp` and `on_rtcp`, which get the received packets."""

    def __init__(self, identity: DtlsIdentity) -> None:
        self.local = LocalPeer(ufrag=secrets.token_hex(4), pwd=secrets.token_hex(12), digest=identity.digest)
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_SIZE_BYTES)
        self._dtls = SSL.Connection(identity.context)
        self._dtls.set_ciphertext_mtu(_MTU_BYTES)
        self._dtls.set_connect_state()
        self._remote: RemotePeer | None = None
        self._ice_connected = asyncio.Event()
        self._dtls_connected = asyncio.Event()
        self.inbound: Session
        self.outbound: Session

    def on_rtp(self, datagram: bytes) -> None:
        """Handle an SRTP packet."""

    def on_rtcp(self, datagram: bytes) -> None:
        """Handle an SRTCP packet."""

    def send(self, datagram: bytes) -> None:
        """Send a datagram to the engine."""
        self._socket.send(datagram)

    async def connect(self, description: str) -> None:
        """Check the candidate of the server's description, then do the DTLS handshake. Raises TimeoutError."""
        self._remote = read_transport(description)
        self._socket.connect(self._remote.address)
        self._loop.add_reader(self._socket.fileno(), self._drain)
        async with asyncio.timeout(_CONNECT_TIMEOUT_SECONDS):
            while not self._ice_connected.is_set():
                self.check_consent()
                await _wait(self._ice_connected, _RETRY_SECONDS)
            self._handshake()
            while not self._dtls_connected.is_set():
                await _wait(self._dtls_connected, _RETRY_SECONDS)
                self._dtls.DTLSv1_handle_timeout()
                self._flush()

    def close(self) -> None:
        """Close the socket without a notice to the engine."""
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def check_consent(self) -> None:
        """Send a connectivity check with USE-CANDIDATE (RFC 8445 section 7.2.2). It also renews consent (RFC 7675)."""
        assert self._remote is not None
        request = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.REQUEST,
            attributes={
                "USERNAME": f"{self._remote.ufrag}:{self.local.ufrag}",
                "PRIORITY": _PRIORITY,
                "ICE-CONTROLLING": 1,
                "USE-CANDIDATE": None,
            },
        )
        request.add_message_integrity(self._remote.pwd.encode())
        self.send(bytes(request))

    def _drain(self) -> None:
        receive = self._socket.recv
        try:
            while True:
                self._dispatch(receive(_DATAGRAM_SIZE_BYTES))
        except BlockingIOError:
            return

    def _dispatch(self, datagram: bytes) -> None:
        if 127 < datagram[0] < 192:
            # RFC 5761 section 4: packet types 192 to 223 are RTCP.
            if 191 < datagram[1] < 224:
                self.on_rtcp(datagram)
            else:
                self.on_rtp(datagram)
        elif 19 < datagram[0] < 64:
            self._on_dtls(datagram)
        else:
            self._on_stun(datagram)

    def _on_stun(self, datagram: bytes) -> None:
        assert self._remote is not None
        message = stun.parse_message(datagram)
        if message.message_class is stun.Class.REQUEST:
            self._answer_check(message)
            return
        if message.message_class is stun.Class.RESPONSE and message.check_message_integrity(self._remote.pwd.encode()):
            self._ice_connected.set()

    def _answer_check(self, request: stun.Message) -> None:
        """Answer a connectivity check of a full ICE agent (RFC 8445 section 7.3)."""
        response = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
            attributes={"XOR-MAPPED-ADDRESS": self._socket.getpeername()},
        )
        response.add_message_integrity(self.local.pwd.encode())
        self.send(bytes(response))

    def _on_dtls(self, datagram: bytes) -> None:
        self._dtls.bio_write(datagram)
        if not self._dtls_connected.is_set():
            self._handshake()

    def _handshake(self) -> None:
        try:
            self._dtls.do_handshake()
        except SSL.WantReadError:
            finished = False
        else:
            finished = True
        self._flush()
        if finished:
            self._derive_srtp_sessions()
            self._dtls_connected.set()

    def _flush(self) -> None:
        try:
            while True:
                self.send(self._dtls.bio_read(_DATAGRAM_SIZE_BYTES))
        except SSL.WantReadError:
            return

    def _derive_srtp_sessions(self) -> None:
        """Take AES-GCM alone: the costs of servers with different profiles are not comparable."""
        name = self._dtls.get_selected_srtp_profile()
        if name != AEAD_AES_128_GCM.name:
            raise ValueError(f"the server has chosen the SRTP profile {name!r}, not AES-GCM")
        profile = AEAD_AES_128_GCM
        material = self._dtls.export_keying_material(_EXPORTER_LABEL, keying_material_size_bytes(profile))
        keys = SrtpKeys.from_keying_material(profile, material)
        self.outbound = Session(Policy(keys.client, Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile.number))
        self.inbound = Session(Policy(keys.server, Policy.SSRC_ANY_INBOUND, srtp_profile=profile.number))


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
