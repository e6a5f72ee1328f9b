"""Public keys: which can be imported, and what is returned of them."""

import re

from stagebook.conformance.check import Basis, Cost
from stagebook.conformance.check_group import CheckGroup, api_page, user_guide
from stagebook.conformance.expectations import expect, expect_equal, expect_refused
from stagebook.conformance.public_key_samples import p256_pem, private_pem, public_key_pem, rsa_pem
from stagebook.conformance.service_under_test import ServiceUnderTest
from stagebook.conformance.wire.wire_answer import Json

checks = CheckGroup(cost=Cost.CREATES)

IMPORT = "ImportPublicKey"
TOKENS = user_guide("getting-started-distribute-tokens")
KEYS_OF_AN_ACCOUNT = 3


def _shared_pem(service: ServiceUnderTest) -> str:
    return service.once("public key", public_key_pem)


def _shared(service: ServiceUnderTest) -> Json:
    return service.shared(IMPORT, publicKeyMaterial=_shared_pem(service))


def _refused_material(service: ServiceUnderTest, material: str) -> None:
    expect_refused(service.call(IMPORT, name=service.name(), publicKeyMaterial=material), "ValidationException")


@checks.add(IMPORT, "publicKeyMaterial.returned")
def _material(service: ServiceUnderTest) -> None:
    material = str(_shared(service).get("publicKeyMaterial"))
    expect_equal(material.split(), _shared_pem(service).split(), "the lines of publicKeyMaterial")


@checks.add(IMPORT, "publicKeyMaterial.crlf", source="service model, PublicKeyMaterial: pattern")
def _crlf(service: ServiceUnderTest) -> None:
    made = service.make(IMPORT, publicKeyMaterial=public_key_pem().replace("\n", "\r\n"))
    service.delete(made["arn"])


@checks.add(IMPORT, "publicKeyMaterial.p-256", source=f"{TOKENS}: ECDSA with P-384", cost=Cost.HARMLESS)
def _other_curve(service: ServiceUnderTest) -> None:
    _refused_material(service, p256_pem())


@checks.add(IMPORT, "publicKeyMaterial.rsa", source=f"{TOKENS}: ECDSA with P-384", cost=Cost.HARMLESS)
def _rsa(service: ServiceUnderTest) -> None:
    _refused_material(service, rsa_pem())


@checks.add(IMPORT, "publicKeyMaterial.private-key", source=f"{TOKENS}: the public key", cost=Cost.HARMLESS)
def _private_key(service: ServiceUnderTest) -> None:
    _refused_material(service, private_pem())


@checks.add(IMPORT, "publicKeyMaterial.no-key", source=f"{TOKENS}: ECDSA with P-384", cost=Cost.HARMLESS)
def _no_key(service: ServiceUnderTest) -> None:
    _refused_material(service, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")


@checks.add(IMPORT, "fingerprint.form", source="AWS CLI reference, import-public-key, example", basis=Basis.OBSERVED)
def _fingerprint(service: ServiceUnderTest) -> None:
    value = str(_shared(service).get("fingerprint"))
    is_right = re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){15}", value) is not None
    expect(is_right, expected="16 bytes in hexadecimal, with colons between them", got=value)


@checks.add(IMPORT, "again", source=f"{api_page(IMPORT)}, section Errors: ConflictException", basis=Basis.CHOSEN)
def _again(service: ServiceUnderTest) -> None:
    _shared(service)
    answer = service.call(IMPORT, name=service.name(), publicKeyMaterial=_shared_pem(service))
    expect_refused(answer, "ConflictException")


@checks.add(IMPORT, "after-deletion", basis=Basis.CHOSEN)
def _after_deletion(service: ServiceUnderTest) -> None:
    material = public_key_pem()
    first = service.make(IMPORT, publicKeyMaterial=material)
    service.delete(first["arn"])
    second = service.make(IMPORT, publicKeyMaterial=material)
    service.delete(second["arn"])
    expect(first["arn"] != second["arn"], expected="another ARN", got=second["arn"])


@checks.add(
    IMPORT,
    "quota",
    source=f"{user_guide('service-quotas')}: 3 public keys, not adjustable",
)
def _quota(service: ServiceUnderTest) -> None:
    materials = (public_key_pem() for _ in range(KEYS_OF_AN_ACCOUNT + 1))
    answers = [service.call(IMPORT, name=service.name(), publicKeyMaterial=material) for material in materials]
    for answer in answers:
        if answer.is_success:
            service.delete(answer.json()["publicKey"]["arn"])
    expect_refused(answers[-1], "ServiceQuotaExceededException")


@checks.add("ListPublicKeys", "summary", source="service model, PublicKeySummary")
def _summary(service: ServiceUnderTest) -> None:
    _shared(service)
    for item in service.result("ListPublicKeys", maxResults=100)["publicKeys"]:
        expect(item.keys() <= {"arn", "name", "tags"}, expected="only arn, name and tags", got=sorted(item))
