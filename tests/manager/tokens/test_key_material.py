"""Public key material: a P-384 key in PEM, with or without text around it, and its fingerprint."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.manager.tokens.key_material import MATERIAL_SIZE, fingerprint, read_material
from stagebook.stage.errors import InvalidInputError

PRIVATE = ec.generate_private_key(ec.SECP384R1())


def pem_of(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode("ascii")


PEM = pem_of(PRIVATE.public_key())
PRIVATE_PEM = PRIVATE.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode("ascii")
BODY = PEM.split("-----")[2]
POINT_DER = base64.b64decode(BODY)


def block(der: bytes, label: str = "PUBLIC KEY") -> str:
    return f"-----BEGIN {label}-----\n{base64.b64encode(der).decode('ascii')}\n-----END {label}-----\n"


@pytest.mark.parametrize(
    "material",
    [
        PEM,
        PEM.rstrip("\n"),
        PEM.replace("\n", "\r\n"),
        f"the key of studio 5,\nmade in spring\n{PEM}and nothing more\n",
        f"Schlüssel: {PEM}",
        block(POINT_DER),
    ],
    ids=["plain", "no-last-line-end", "crlf", "text-around", "text-before", "one-line"],
)
def test_a_p384_key_is_read_with_text_around_it(material: str) -> None:
    assert read_material(material).public_numbers() == PRIVATE.public_key().public_numbers()


@pytest.mark.parametrize(
    ("material", "naming"),
    [
        (pem_of(rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()), "P-384"),
        (pem_of(ed25519.Ed25519PrivateKey.generate().public_key()), "P-384"),
        (pem_of(ec.generate_private_key(ec.SECP256R1()).public_key()), "not secp256r1"),
        (pem_of(ec.generate_private_key(ec.SECP521R1()).public_key()), "not secp521r1"),
        (PRIVATE_PEM, "private key"),
        (PEM + PRIVATE_PEM, "private key"),
        (PRIVATE_PEM.replace("PRIVATE KEY", "EC PRIVATE KEY"), "private key"),
        (PEM + PEM, "exactly one"),
        (PEM.replace("PUBLIC KEY", "RSA PUBLIC KEY"), "-----BEGIN PUBLIC KEY-----"),
        (PEM.replace("PUBLIC KEY", "CERTIFICATE"), "-----BEGIN PUBLIC KEY-----"),
        ("", "exactly one"),
        ("no key at all", "exactly one"),
        (PEM.replace("-----END PUBLIC KEY-----", ""), "-----BEGIN PUBLIC KEY-----"),
        (block(b""), "-----BEGIN PUBLIC KEY-----"),
        (block(b"garbage that is no DER"), "can be read"),
        (block(POINT_DER[:-1]), "can be read"),
        (block(POINT_DER[:-1] + bytes([POINT_DER[-1] ^ 1])), "can be read"),
        (PEM + "x" * MATERIAL_SIZE, "at most"),
    ],
)
def test_other_material_is_refused_and_not_quoted(material: str, naming: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_material(material)
    assert caught.value.member == "publicKeyMaterial"
    assert naming in str(caught.value)
    assert BODY.strip().splitlines()[0] not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(
        st.text(max_size=300),
        st.binary(max_size=150).map(block),
        st.tuples(st.integers(0, len(PEM) - 1), st.characters(codec="ascii")).map(
            lambda change: PEM[: change[0]] + change[1] + PEM[change[0] + 1 :]
        ),
    )
)
def test_arbitrary_text_is_refused(material: str) -> None:
    try:
        key = read_material(material)
    except InvalidInputError:
        return
    assert key.curve.name == "secp384r1"


def test_the_fingerprint_is_the_md5_of_the_der_in_sixteen_pairs() -> None:
    digest = hashlib.md5(POINT_DER, usedforsecurity=False).hexdigest()
    assert fingerprint(PRIVATE.public_key()) == ":".join(digest[at : at + 2] for at in range(0, 32, 2))


def test_the_same_key_in_another_form_has_the_same_fingerprint() -> None:
    point = PRIVATE.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    compressed = read_material(pem_of(ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), point)))
    assert fingerprint(compressed) == fingerprint(PRIVATE.public_key())
