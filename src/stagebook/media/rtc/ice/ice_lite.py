"""The ICE-lite agent of one connection (RFC 8445 sections 2.5, 7.3 and 8.2).

ICE finds a pair of addresses between which datagrams pass. A full agent gathers host, server-reflexive and relayed
candidates, sends connectivity checks over every pair and nominates one. A lite agent has host candidates only, sends
no checks and answers the checks of its peer. That is enough for a server with a public address: every peer can send
to it, the first check opens the mapping of the peer's NAT, and the server learns the peer's address from that check.
So the server needs no STUN or TURN server, no check list, no timers, and no candidates of its peer.

Who does what:

* The peer is a full agent and therefore the controlling one (section 6.1.1). It sends STUN binding requests to our
  candidates and nominates a pair with USE-CANDIDATE.
* The demultiplexer verifies the request's MESSAGE-INTEGRITY with our password, passes the check to this agent and
  sends the response.
* This agent selects the path (section 8.2): the address of the first check, so that DTLS can start at once, then the
  address of each nominated check.
* An ICE restart (section 9) replaces the credentials of both sides. The previous credentials stay valid until the
  first check with the new ones, because media continues on the old path until then.

After the nomination three questions remain, and peers differ in what they send to answer them:

* Does the peer still exist? Every verified datagram says so: a check, an SRTP or an SRTCP packet. So does a Binding
  indication on the path (RFC 8445 section 11), which carries no proof: libnice (GStreamer) keeps a path open by
  indications, and webrtc-rs, FFmpeg and pion before 4.0.8 send no STUN at all after the nomination. The forwarder
  closes a connection that has been silent for too long.
* May we send there? RFC 7675 asks for consent, renewed within 30 seconds, for each pair of addresses. A full agent asks
  for it by checks of its own. A lite agent sends none, and takes the verified datagrams that come from the address:
  checks, and media and reports, which are authenticated as well. An indication is not enough, because anybody can
  forge one. Without consent `path` is None.
* Is a check new? Whoever has captured one can send it again from elsewhere. So once the peer is known to answer
  requests of ours (`stun_probe`), as full agents do, its checks alone neither move the path nor renew consent: a
  response to our request does, and media, which is protected against replay.
* Has the peer's address changed? After a NAT has rebound its port, or a client its network, the peer's datagrams come
  from elsewhere. Most agents do not nominate the pair again, since it is the same pair to them. So the path follows
  the verified datagrams once the current path has been quiet for 3 seconds. Before that, a datagram from elsewhere
  may as well be a check of an agent that keeps a second network ready.
"""

import msgspec

from stagebook.media.rtc.ice.udp_socket import Path

CONSENT_SECONDS = 30.0
"""How long consent to send to an address lasts (RFC 7675 section 5.1)."""
QUIET_PATH_SECONDS = 3.0
"""The path moves to another verified address after so long without a verified datagram on it. Longer than the reports
of a viewer of video (1 s) and the checks of browsers on the selected pair (2.5 s) are apart."""

PROBE_SECONDS = 5.0
"""A check on the path is followed by a request of ours if nothing else has renewed consent for so long."""


class IceCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """Our username fragment and password of one ICE session (RFC 8445 section 5.3)."""

    ufrag: str
    pwd: str


class IceLiteAgent:
    """The state of ICE for one connection: credentials, selected path and consent. Times are monotonic seconds."""

    def __init__(self, credentials: IceCredentials, *, now: float) -> None:
        self.credentials = credentials
        self.previous_credentials: IceCredentials | None = None
        """The credentials before an ICE restart, until the peer uses the new ones."""
        self.path: Path | None = None
        """Where to send. None before the first check, and without consent."""
        self.last_received_at = now
        """The last sign of the peer: the time of the last verified datagram from any address or Binding indication on
        the path, of the last ICE restart, or of the creation of the agent."""
        self.consent_at = now
        """The time of the last verified datagram on the path."""
        self.answers_probes = False
        """Whether the peer has answered a request of ours. From then on its checks prove nothing alone."""
        self._selected: Path | None = None
        """The path, also without consent."""
        self._proved: Path | None = None
        """The last path over which the peer has shown that it receives what we send."""
        self.quiet_seconds = 0.0
        """How long nothing had come over the former path when the path last changed."""

    def password_for(self, ufrag: str) -> str | None:
        """Our password for one of our username fragments; None if the fragment is not valid for this connection."""
        for credentials in (self.credentials, self.previous_credentials):
            if credentials is not None and credentials.ufrag == ufrag:
                return credentials.pwd
        return None

    def receive_check(self, *, path: Path, ufrag: str, nominated: bool, now: float) -> bool:
        """Take a verified connectivity check that came over `path` and named our `ufrag`.

        The first check selects its path provisionally; after that only a nominated check changes the path (RFC 8445
        sections 7.3.1.5 and 8.2), or a check from elsewhere when the path is quiet. From a peer that answers probes no
        check changes it. Return True if the path changed.
        """
        if ufrag == self.credentials.ufrag:
            self.previous_credentials = None
        if self.answers_probes:
            self.last_received_at = now
            return False
        if nominated and path != self.path:
            self._select(path, now)
            return True
        return self.receive_verified(path, now)

    def needs_probe(self, path: Path, now: float) -> bool:
        """Whether a check that came over `path` leaves open if the peer is there: the address is another one, or
        nothing has proved it for PROBE_SECONDS."""
        return path != self.path or now - self.consent_at >= PROBE_SECONDS

    def receive_response(self, path: Path, *, nominated: bool, now: float) -> bool:
        """Take a response to a request of ours that we sent over `path` after a check. Return True if the path changed.

        The path changes at once if the check was `nominated`, otherwise when the current one is quiet.
        """
        self.answers_probes = True
        self._proved = path
        if nominated and path != self.path:
            self._select(path, now)
            return True
        return self.receive_verified(path, now)

    def receive_handshake(self, path: Path, now: float) -> None:
        """Take note of the end of the DTLS handshake, whose messages passed over `path` in both directions."""
        self._proved = path
        self.receive_verified(path, now)

    def holds(self, path: Path, now: float) -> bool:
        """Whether `path` belongs to this peer, whoever else sends from its address.

        The peer has received something over it, so it has the address, and it was heard there lately. The check of
        another peer can have a forged address.
        """
        return path == self.path == self._proved and now - self.consent_at < QUIET_PATH_SECONDS

    def receive_verified(self, path: Path, now: float) -> bool:
        """Take note of an authenticated datagram that came over `path`: a check or media. Return True if the path
        changed. Called for each incoming packet of media."""
        self.last_received_at = now
        if path is self.path or path == self.path:
            self.consent_at = now
            return False
        if self.path is not None and now - self.consent_at < QUIET_PATH_SECONDS:
            return False
        self._select(path, now)
        return True

    def receive_indication(self, path: Path, now: float) -> None:
        """Take note of a Binding indication. It is not authenticated, so it counts only on the path."""
        if path == self._selected:
            self.last_received_at = now

    def expire_consent(self, now: float) -> bool:
        """Stop sending if consent has expired. Return True if it has just expired. The next verified datagram, from any
        address, selects a path again."""
        if self.path is None or now - self.consent_at <= CONSENT_SECONDS:
            return False
        self.path = None
        return True

    def lose_path(self, path: Path) -> bool:
        """Stop sending over a path whose TCP connection has ended. Return True if that was the path. The next verified
        datagram, from any address, selects a path again."""
        if path != self.path:
            return False
        self.path = self._selected = None
        return True

    def _select(self, path: Path, now: float) -> None:
        self.path = self._selected = path
        self.quiet_seconds = now - self.consent_at
        self.last_received_at = self.consent_at = now

    def restart(self, credentials: IceCredentials, *, now: float) -> None:
        """Start a new ICE session (RFC 8445 section 9). The path stays, and so do the credentials in use until the
        peer uses the new ones. Credentials of an earlier restart that the peer never used become void.

        The request for it is a sign of the peer, and gives no consent. A peer asks when it has lost its path, some
        seconds ago, and then needs time to find another one.
        """
        self.last_received_at = now
        if self.previous_credentials is None:
            self.previous_credentials = self.credentials
        self.credentials = credentials
