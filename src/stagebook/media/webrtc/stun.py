"""STUN as an ICE-lite agent needs it: read a binding request, verify it, answer it (RFC 8489, RFC 8445).

Pure: bytes in, bytes out. Knows no socket, no session and no password store.
"""

import msgspec


class BindingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One well-formed binding request. Its sender is unproven until `verify` says True."""

    transaction_id: bytes
    local_ufrag: str
    """The part of USERNAME before the colon: ours."""
    use_candidate: bool

    def verify(self, password: bytes) -> bool:
        """Whether MESSAGE-INTEGRITY was made with `password` (compared in constant time)."""
        raise NotImplementedError


def is_stun(datagram: bytes) -> bool:
    """Whether the first byte and the magic cookie say STUN (RFC 7983, RFC 8489 section 5)."""
    raise NotImplementedError


def parse_binding_request(datagram: bytes) -> BindingRequest | None:
    """Read a binding request; None for everything else, garbage included. Never raises."""
    raise NotImplementedError


def binding_success(request: BindingRequest, address: tuple[str, int], password: bytes) -> bytes:
    """Write the success response: XOR-MAPPED-ADDRESS of `address` (ip, port), MESSAGE-INTEGRITY, FINGERPRINT."""
    raise NotImplementedError


def binding_error(request: BindingRequest, code: int, password: bytes | None) -> bytes:
    """Write an error response of `code` (400, 401, 420). With `password` None there is no MESSAGE-INTEGRITY."""
    raise NotImplementedError
