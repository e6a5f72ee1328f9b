"""The material of a public key: parsing a PEM string with one P-384 public key, and its fingerprint.

Source: "Distribute Tokens" of the IVS Real-Time user guide (ECDSA with P-384 only), shape PublicKeyMaterial, RFC 7468
(PEM), RFC 5280 section 4.1 (SubjectPublicKeyInfo).
"""

import hashlib
import re

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stagebook.stage.errors import InvalidInputError

MEMBER = "publicKeyMaterial"
MATERIAL_SIZE = 16 * 1_024
"""Maximum length in characters, with the text around the PEM block. The block of a P-384 key has about 215."""

_BLOCK = re.compile(r"-----BEGIN PUBLIC KEY-----\r?\n([a-zA-Z0-9+/=\r\n]+)\r?\n-----END PUBLIC KEY-----")
_BEGINNING = re.compile(r"-----BEGIN ([^-\r\n]*)-----")


def read_material(material: str) -> ec.EllipticCurvePublicKey:
    """Return the one P-384 public key in `material`. Text around its PEM block and CRLF line ends are accepted.

    Raises InvalidInputError. It never quotes the material, which may be a private key by mistake.
    """
    if len(material) > MATERIAL_SIZE:
        raise _refused(f"must have at most {MATERIAL_SIZE} characters")
    labels = _BEGINNING.findall(material)
    if any("PRIVATE KEY" in label for label in labels):
        raise _refused("holds a private key: keep that to yourself and import the public key alone")
    if len(labels) != 1:
        raise _refused("must hold exactly one PEM block")
    block = _BLOCK.search(material)
    if block is None:
        raise _refused("must hold a PEM block that begins with -----BEGIN PUBLIC KEY-----")
    try:
        key = serialization.load_pem_public_key(block[0].encode("ascii"))
    except (ValueError, UnsupportedAlgorithm):
        raise _refused("its PEM block does not hold a public key that can be read") from None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise _refused("must be an ECDSA key on the curve P-384 (secp384r1), not one of another kind")
    if not isinstance(key.curve, ec.SECP384R1):
        raise _refused(f"must be on the curve P-384 (secp384r1), not {key.curve.name}")
    return key


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """Return the fingerprint of a key: MD5 of its SubjectPublicKeyInfo in DER, as 16 colon-separated hex bytes.

    It has the form of AWS's fingerprints. It is only compared with those of other keys, so MD5 is sufficient.
    """
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.md5(der, usedforsecurity=False).digest().hex(":")


def _refused(rule: str) -> InvalidInputError:
    return InvalidInputError(member=MEMBER, rule=rule)
