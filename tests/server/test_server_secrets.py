"""The access keys of a server, and what its log hides."""

from pathlib import Path

import msgspec
import pytest

from stagebook.config.rules import ConfigError
from stagebook.config.server_settings import CredentialSetting
from stagebook.config.settings import Settings
from stagebook.data_folder.secrets import DataFolder
from stagebook.server.server_secrets import ServerSecrets

READER = CredentialSetting(
    access_key_id="AKIAREADERREADER0000",
    secret_access_key="a-secret-of-a-reader",
    account_id="210987654321",
    policy={"Statement": {"Effect": "Allow", "Action": "ivs:List*", "Resource": "*"}},
    user_name="reader",
)


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    return folder


def test_the_first_credential_is_the_access_key_of_the_folder(folder: DataFolder) -> None:
    own, reader = ServerSecrets.read(folder, Settings(account_id="111122223333", credentials=(READER,))).credentials
    assert own.account_id == "111122223333"
    assert (reader.access_key_id, reader.account_id, reader.user_name) == (
        READER.access_key_id,
        READER.account_id,
        "reader",
    )


def test_every_secret_key_is_redacted_in_the_log(folder: DataFolder) -> None:
    secrets = ServerSecrets.read(folder, Settings(credentials=(READER,)))
    assert set(secrets.secret_strings()) == {secrets.access_key.secret_access_key, READER.secret_access_key}
    assert READER.secret_access_key not in repr(secrets)


def test_an_access_key_of_the_settings_may_be_a_temporary_one(folder: DataFolder) -> None:
    temporary = msgspec.structs.replace(READER, session_token="a-token-of-a-session")
    secrets = ServerSecrets.read(folder, Settings(credentials=(temporary,)))
    assert [credential.session_token for credential in secrets.credentials] == ["", "a-token-of-a-session"]
    assert "a-token-of-a-session" in secrets.secret_strings()


@pytest.mark.parametrize("policy", [{"Statement": {"Effect": "Allow"}}, {"Rules": []}])
def test_an_invalid_policy_is_refused(folder: DataFolder, policy: dict[str, object]) -> None:
    credential = CredentialSetting(
        access_key_id=READER.access_key_id,
        secret_access_key=READER.secret_access_key,
        account_id=READER.account_id,
        policy=policy,
    )
    with pytest.raises(ConfigError, match="setting credentials"):
        ServerSecrets.read(folder, Settings(credentials=(credential,)))
