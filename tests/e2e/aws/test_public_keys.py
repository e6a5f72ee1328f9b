"""Public keys and connection tokens with boto3, and with the documented commands of the AWS CLI."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from stagebook.book.changes import PutResource
from stagebook.stage.resources import PublicKey
from tests.clients.own_key import OwnKey
from tests.e2e.aws.access_keys import NO_RIGHTS, OTHER_ACCOUNT
from tests.e2e.aws.aws_cli import PAGES, documented, run
from tests.e2e.aws.client_errors import refused
from tests.e2e.aws.documented_example import ACCOUNT_ID, write_book
from tests.e2e.aws.valid_inputs import Json
from tests.e2e.server import REGION, Client, RunningServer, run_server

DOCUMENTED_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:public-key/abcdABC1efg2"
UNKNOWN_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:public-key/000000000000"
OTHER_REGION_ARN = UNKNOWN_ARN.replace("us-west-2", "eu-west-1")


def pem_of(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_a_key_is_imported_read_listed_tagged_and_deleted(ivs: Client) -> None:
    own = OwnKey()
    key = ivs.import_public_key(publicKeyMaterial=own.public_pem, name="studio", tags={"team": "blue"})["publicKey"]
    assert key["publicKeyMaterial"] == own.public_pem
    der = own.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert key["fingerprint"].replace(":", "") == hashlib.md5(der, usedforsecurity=False).hexdigest()
    assert ivs.get_public_key(arn=key["arn"])["publicKey"] == key
    listed = ivs.get_paginator("list_public_keys").paginate().build_full_result()["publicKeys"]
    assert {"arn": key["arn"], "name": "studio", "tags": {"team": "blue"}} in listed
    ivs.tag_resource(resourceArn=key["arn"], tags={"team": "red"})
    assert ivs.list_tags_for_resource(resourceArn=key["arn"])["tags"] == {"team": "red"}
    response = ivs.delete_public_key(arn=key["arn"])
    assert int(response["ResponseMetadata"]["HTTPHeaders"]["content-length"]) == 0
    for call in (ivs.get_public_key, ivs.delete_public_key):
        with refused("ResourceNotFoundException", naming=key["arn"]):
            call(arn=key["arn"])


def test_only_p384_is_accepted(ivs: Client) -> None:
    own = OwnKey()
    private = own.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    for material in (
        pem_of(rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()),
        pem_of(ec.generate_private_key(ec.SECP256R1()).public_key()),
        own.public_pem + own.public_pem,
        own.public_pem + private,
        private,
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "",
    ):
        with refused("ValidationException", naming="publicKeyMaterial"):
            ivs.import_public_key(publicKeyMaterial=material)


def test_importing_the_same_key_again_is_a_conflict(ivs: Client) -> None:
    own = OwnKey()
    arn = ivs.import_public_key(publicKeyMaterial=own.public_pem)["publicKey"]["arn"]
    with refused("ConflictException", naming=arn):
        ivs.import_public_key(publicKeyMaterial=own.public_pem.replace("\n", "\r\n"), name="again")
    ivs.delete_public_key(arn=arn)
    ivs.import_public_key(publicKeyMaterial=own.public_pem)


def test_keys_of_another_account_are_inaccessible(server: RunningServer, ivs: Client) -> None:
    arn = ivs.import_public_key(publicKeyMaterial=OwnKey().public_pem)["publicKey"]["arn"]
    other_account = server.client(OTHER_ACCOUNT)
    assert other_account.list_public_keys()["publicKeys"] == []
    for call in (other_account.get_public_key, other_account.delete_public_key):
        with refused("AccessDeniedException"):
            call(arn=arn)
    with refused("AccessDeniedException"):
        ivs.get_public_key(arn=OTHER_REGION_ARN)


def test_a_policy_without_statements_denies_all_key_operations(server: RunningServer) -> None:
    client = server.client(NO_RIGHTS)
    with refused("AccessDeniedException", naming="ivs:ImportPublicKey"):
        client.import_public_key(publicKeyMaterial=OwnKey().public_pem)
    with refused("AccessDeniedException", naming="ivs:ListPublicKeys"):
        client.list_public_keys()
    for call in (client.get_public_key, client.delete_public_key):
        with refused("AccessDeniedException"):
            call(arn=UNKNOWN_ARN)
    with refused("AccessDeniedException", naming="ivs:RevokeConnectionToken"):
        client.revoke_connection_token(tokenId="Mx6clRRHODPy")


def test_keys_above_the_quota_are_refused_and_keys_survive_a_restart(tmp_path: Path) -> None:
    with run_server(tmp_path / "data", quota_overrides="public_keys=1") as server:
        ivs = server.client()
        key = ivs.import_public_key(publicKeyMaterial=OwnKey().public_pem)["publicKey"]
        with refused("ServiceQuotaExceededException"):
            ivs.import_public_key(publicKeyMaterial=OwnKey().public_pem)
    with run_server(tmp_path / "data") as restarted:
        assert restarted.client().get_public_key(arn=key["arn"])["publicKey"] == key


def test_revoking_a_connection_token_succeeds_for_any_id(ivs: Client) -> None:
    for token_id in ("Mx6clRRHODPy", "Mx6clRRHODPy", "-", "x" * 64):
        response = ivs.revoke_connection_token(tokenId=token_id)
        assert int(response["ResponseMetadata"]["HTTPHeaders"]["content-length"]) == 0


class TestDocumentedCommands:
    """The documented commands, with a valid key instead of the documented one, whose material is not a key."""

    @pytest.fixture
    def oregon(self, tmp_path: Path) -> Iterator[RunningServer]:
        key = PublicKey(
            arn=DOCUMENTED_ARN, account_id=ACCOUNT_ID, created_ms=1, material=OwnKey().public_pem, fingerprint="12:a3"
        )
        write_book(tmp_path / "data", PutResource(resource=key))
        with run_server(tmp_path / "data") as running:
            yield running

    def run_example(self, server: RunningServer, page: str) -> tuple[Json, Json]:
        """Return the actual and the documented output of the only command of a page."""
        (example,) = documented(page)
        return run(server, example, region=REGION).json, example.output

    def test_get_list_and_delete(self, oregon: RunningServer) -> None:
        shown, expected = self.run_example(oregon, "get-public-key")
        assert shown["publicKey"].keys() == expected["publicKey"].keys()
        for member in ("arn", "name", "tags"):
            assert shown["publicKey"][member] == expected["publicKey"][member]
        shown, expected = self.run_example(oregon, "list-public-keys")
        assert shown["publicKeys"] == expected["publicKeys"][:1]
        assert self.run_example(oregon, "delete-public-key")[0] is None
        assert self.run_example(oregon, "list-public-keys")[0] == {"publicKeys": []}

    def test_import_from_a_file(self, oregon: RunningServer, tmp_path: Path) -> None:
        """Run the documented command in a shell, since it reads the file public.pem of the working directory."""
        own = OwnKey()
        (tmp_path / "public.pem").write_text(own.public_pem, encoding="ascii")
        page = (PAGES / "import-public-key.rst").read_text(encoding="utf-8")
        command = page[page.index("    aws ivs-realtime") : page.index("Output::")]
        environment = {**oregon.environment, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        completed = subprocess.run(
            ["sh", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert completed.returncode == 0, completed.stderr
        (example,) = documented("import-public-key")
        key = oregon.client().list_public_keys()["publicKeys"][1]
        shown = oregon.client().get_public_key(arn=key["arn"])["publicKey"]
        assert shown["publicKeyMaterial"] == own.public_pem.rstrip("\n")
        assert shown.keys() == example.output["publicKey"].keys()
