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
* Each check also renews consent. A lite agent sends no consent checks of its own; the peer sends one about every five
  seconds for as long as it wants the connection (RFC 7675 section 5.1). The forwarder closes a connection whose
  consent has expired.
* An ICE restart (section 9) replaces the credentials of both sides. The previous credentials stay valid until the
  first check with the new ones, because media continues on the old path until then.
"""

import msgspec

from stagebook.media.rtc.ice.udp_socket import Path


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
        """Where to send. None before the first check."""
        self.consent_at = now
        """The time of the last verified check, or of the creation of the agent."""

    def password_for(self, ufrag: str) -> str | None:
        """Our password for one of our username fragments; None if the fragment is not valid for this connection."""
        for credentials in (self.credentials, self.previous_credentials):
            if credentials is not None and credentials.ufrag == ufrag:
                return credentials.pwd
        return None

    def receive_check(self, *, path: Path, ufrag: str, nominated: bool, now: float) -> bool:
        """Take a verified connectivity check that came over `path` and named our `ufrag`.

        The first check selects its path provisionally; after that only a nominated check changes the path (RFC 8445
        sections 7.3.1.5 and 8.2). Return True if the path changed.
        """
        self.consent_at = now
        if ufrag == self.credentials.ufrag:
            self.previous_credentials = None
        if path == self.path or (self.path is not None and not nominated):
            return False
        self.path = path
        return True

    def restart(self, credentials: IceCredentials) -> None:
        """Start a new ICE session (RFC 8445 section 9). The path stays, and so do the credentials in use until the
        peer uses the new ones. Credentials of an earlier restart that the peer never used become void."""
        if self.previous_credentials is None:
            self.previous_credentials = self.credentials
        self.credentials = credentials
