"""The bounded reader of the session descriptions that strangers send (RFC 8866, RFC 8829)."""

from stagebook.media.webrtc.sdp import SessionDescription


def parse_description(text: str) -> SessionDescription:
    """Read an offer. Raises SdpMalformedError for bad grammar and for more than the limits of this module allow."""
    raise NotImplementedError
