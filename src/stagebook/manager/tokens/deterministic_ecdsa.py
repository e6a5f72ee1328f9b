"""ECDSA signatures that are the same each time (RFC 6979), so that a test can compare whole tokens."""

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from jwt.algorithms import ECAlgorithm


class DeterministicEcdsa(ECAlgorithm):
    """The algorithm of PyJWT, with the nonce of RFC 6979 in place of a random one. Verification is the same."""

    def sign(self, msg: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
        """Return the signature of a message in the form of RFC 7518 section 3.4: R and S, of equal lengths."""
        numbers = decode_dss_signature(key.sign(msg, ec.ECDSA(self.hash_alg(), deterministic_signing=True)))
        size_bytes = (key.curve.key_size + 7) // 8
        return b"".join(number.to_bytes(size_bytes, "big") for number in numbers)
