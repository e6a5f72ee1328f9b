"""The answer to the SDP fragment of a WHIP PATCH: trickle ICE or an ICE restart (RFC 8840, RFC 9725 section 4.3).

The engine is an ICE-lite agent. It learns the peer's addresses from the peer's connectivity checks, so it ignores
trickled candidates and answers them without a fragment. A fragment with new ICE credentials restarts ICE: the answer
contains the engine's new credentials. DTLS and SRTP continue over a restart.
"""

import msgspec

from stagebook.media.port import MediaRefusedError, PatchAnswer, RefusalReason
from stagebook.media.rtc.sdp.trickle_fragment import IceFragment, write_restart_fragment
from stagebook.media.rtc.sfu.connection_table import TableEntry
from stagebook.media.rtc.transport.shared_transport import SharedTransport


def answer_fragment(
    entry: TableEntry, transport: SharedTransport, fragment: IceFragment, ice_session: str | None
) -> PatchAnswer:
    """Answer a fragment, and restart ICE if it has new credentials.

    `ice_session` is the value of If-Match; None and "*" match any session. Raises MediaRefusedError
    (ICE_SESSION_MISMATCH).
    """
    peer = entry.peer
    if ice_session not in (None, "*", peer.ice.credentials.ufrag):
        raise MediaRefusedError(
            reason=RefusalReason.ICE_SESSION_MISMATCH, detail="the ICE session is not the current one"
        )
    ufrag, pwd = fragment.ufrag, fragment.pwd
    if ufrag is None or pwd is None or not fragment.restarts(ufrag=peer.remote.ufrag, pwd=peer.remote.pwd):
        return PatchAnswer(fragment=None, ice_session=peer.ice.credentials.ufrag)
    # The certificate and the DTLS role stay (RFC 8842 section 5.5).
    remote = msgspec.structs.replace(peer.remote, ufrag=ufrag, pwd=pwd)
    transport.restart_ice(peer, remote)
    first = entry.plan.tracks[0]
    answer = write_restart_fragment(transport.describe(peer), mid=first.mid, kind=first.kind)
    return PatchAnswer(fragment=answer, ice_session=peer.ice.credentials.ufrag)
