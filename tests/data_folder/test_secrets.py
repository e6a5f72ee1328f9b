"""The data folder: file modes, secrets that are generated once, and the refusal of readable secrets."""

import os
import re
import stat
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from stagebook.data_folder.folder_permissions import DataFolderError
from stagebook.data_folder.rtmps_certificate import RENEWAL, VALIDITY
from stagebook.data_folder.secrets import DataFolder, ServerAddress
from stagebook.server.system_clock import SystemRandomness

ACCOUNT = "123456789012"
NOW = datetime(2026, 11, 21, tzinfo=UTC)
SERVER_ADDRESS = ServerAddress(endpoint_url="http://127.0.0.1:8080", region="us-west-2")


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path / "deep" / "data")
    folder.prepare()
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def generate_all(folder: DataFolder) -> tuple[object, ...]:
    return (
        folder.access_key(account_id=ACCOUNT, randomness=SystemRandomness()),
        folder.token_signing_key(),
        folder.page_token_secret(randomness=SystemRandomness()),
        stream_key_secret(folder),
        folder_certificate(folder),
    )


def stream_key_secret(folder: DataFolder, *, may_generate: bool = True) -> bytes:
    return folder.stream_key_secret(randomness=SystemRandomness(), may_generate=may_generate)


def folder_certificate(folder: DataFolder, *, hosts: Sequence[str] = ("localhost",), now: datetime = NOW) -> bytes:
    """Prepare the certificate for these hosts and return it."""
    folder.prepare_certificate(hosts=hosts, now=now)
    return folder.certificate_path.read_bytes()


def test_only_the_owner_can_read_the_folder_and_its_secrets(folder: DataFolder) -> None:
    generate_all(folder)
    folder.write_server_address(SERVER_ADDRESS)
    assert mode(folder.path) == 0o700
    assert {mode(path) for path in folder.path.iterdir()} == {0o600}
    assert len(list(folder.path.iterdir())) == 7


def test_a_second_start_reads_the_secrets_of_the_first(folder: DataFolder) -> None:
    assert generate_all(folder) == generate_all(folder)


def test_two_folders_share_no_secret(folder: DataFolder, tmp_path: Path) -> None:
    other = DataFolder(tmp_path / "other")
    other.prepare()
    assert not set(generate_all(folder)) & set(generate_all(other))


def test_the_access_key_has_the_form_of_an_aws_key(folder: DataFolder) -> None:
    access_key = folder.access_key(account_id=ACCOUNT, randomness=SystemRandomness())
    assert re.fullmatch(r"AKIA[A-Z2-7]{16}", access_key.access_key_id)
    assert re.fullmatch(r"[A-Za-z0-9+/]{40}", access_key.secret_access_key)
    assert access_key.account_id == ACCOUNT
    assert access_key.secret_access_key not in repr(access_key)


def test_an_existing_access_key_keeps_its_account(folder: DataFolder) -> None:
    first = folder.access_key(account_id=ACCOUNT, randomness=SystemRandomness())
    assert folder.access_key(account_id="210987654321", randomness=SystemRandomness()) == first


def test_the_token_key_is_a_p_384_key(folder: DataFolder) -> None:
    key = load_pem_private_key(folder.token_signing_key(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp384r1"


@pytest.mark.parametrize(
    "name", ["access_key_path", "token_key_path", "page_secret_path", "stream_key_secret_path", "certificate_key_path"]
)
def test_a_secret_that_other_users_can_read_is_refused(folder: DataFolder, name: str) -> None:
    generate_all(folder)
    path: Path = getattr(folder, name)
    path.chmod(0o640)
    with pytest.raises(DataFolderError, match="chmod 600"):
        generate_all(folder)


@pytest.mark.parametrize(
    "name", ["access_key_path", "page_secret_path", "stream_key_secret_path", "certificate_key_path"]
)
@pytest.mark.parametrize("content", [b"{", b'{"accessKeyId": "\xff"}'], ids=["incomplete", "no UTF-8"])
def test_a_damaged_secret_is_refused_and_not_replaced(folder: DataFolder, name: str, content: bytes) -> None:
    generate_all(folder)
    path: Path = getattr(folder, name)
    path.write_bytes(content)
    with pytest.raises(DataFolderError, match="is damaged"):
        generate_all(folder)
    assert path.read_bytes() == content


def test_a_missing_secret_of_sealed_stream_keys_is_refused_and_not_generated(folder: DataFolder) -> None:
    with pytest.raises(DataFolderError, match=r"stream-key-secret is missing.*restore it from a backup"):
        stream_key_secret(folder, may_generate=False)
    assert not folder.stream_key_secret_path.exists()
    secret = stream_key_secret(folder)
    assert stream_key_secret(folder, may_generate=False) == secret


def test_a_certificate_is_renewed_for_a_new_host_and_keeps_its_key(folder: DataFolder) -> None:
    first, key = folder_certificate(folder), folder.certificate_key_path.read_bytes()
    assert folder_certificate(folder, hosts=("localhost", "example.com")) != first
    assert folder.certificate_key_path.read_bytes() == key


def test_a_certificate_is_renewed_before_it_ends(folder: DataFolder) -> None:
    first = folder_certificate(folder)
    assert folder_certificate(folder, now=NOW + VALIDITY - RENEWAL - timedelta(days=1)) == first
    assert folder_certificate(folder, now=NOW + VALIDITY - RENEWAL + timedelta(days=1)) != first


def test_a_damaged_certificate_is_replaced(folder: DataFolder) -> None:
    folder_certificate(folder)
    folder.certificate_path.write_bytes(b"{")
    assert folder_certificate(folder).startswith(b"-----BEGIN CERTIFICATE-----")


def test_the_last_server_address_is_read_back(folder: DataFolder) -> None:
    access_key = folder.access_key(account_id=ACCOUNT, randomness=SystemRandomness())
    folder.write_server_address(ServerAddress(endpoint_url="http://127.0.0.1:1", region="x"))
    folder.write_server_address(SERVER_ADDRESS)
    assert folder.read_server_access() == (SERVER_ADDRESS, access_key)


def test_reading_the_server_access_before_the_first_start_is_an_error(folder: DataFolder) -> None:
    with pytest.raises(DataFolderError, match="stagebook serve"):
        folder.read_server_access()


def test_a_folder_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DataFolderError, match="cannot be created"):
        DataFolder(tmp_path / "file" / "data").prepare()


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)  # root may write everywhere
    with pytest.raises(DataFolderError, match="cannot be written"):
        DataFolder(tmp_path).prepare()
