"""Key pairs for ImportPublicKey: the right curve, and what must be refused."""

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

RSA_BITS = 2_048


def public_key_pem() -> str:
    """Return the PEM of a new public key on the curve P-384."""
    return public_pem(ec.generate_private_key(ec.SECP384R1()))


def p256_pem() -> str:
    """Return the PEM of a public key on a curve that IVS does not accept."""
    return public_pem(ec.generate_private_key(ec.SECP256R1()))


def rsa_pem() -> str:
    """Return the PEM of a public key of a kind that IVS does not accept."""
    return public_pem(rsa.generate_private_key(public_exponent=65_537, key_size=RSA_BITS))


def private_pem() -> str:
    """Return the PEM of a private key, which must never be imported."""
    key = ec.generate_private_key(ec.SECP384R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: PrivateKeyTypes) -> str:
    """Return the PEM of a key's public half."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
