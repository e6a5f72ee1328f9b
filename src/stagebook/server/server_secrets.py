"""The secrets of a server: those of its data folder, and the access keys of its settings."""

from collections.abc import Sequence

import msgspec

from stagebook.api.access.policy import parse_policy
from stagebook.api.access.sigv4.credentials import AwsCredential
from stagebook.config.cluster_settings import database_secrets
from stagebook.config.composition_settings import channel_secrets
from stagebook.config.rules import ConfigError
from stagebook.config.settings import Settings
from stagebook.data_folder.secrets import AccessKey, DataFolder
from stagebook.server.system_clock import SystemRandomness


class ServerSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """The secrets of a server. The first of `credentials` is the access key of the data folder, without a policy."""

    access_key: AccessKey
    token_signing_key_pem: bytes
    page_token_secret: bytes
    credentials: tuple[AwsCredential, ...]
    storage_secret: str | None = None
    """Of the access key for S3."""
    channel_secrets: tuple[str, ...] = ()
    """Of the URLs of channels."""
    livekit_secret: str | None = None
    """Of LiveKit's API key."""
    cluster_secrets: tuple[str, ...] = ()
    """Of the database's URL, and what the nodes share."""

    def __repr__(self) -> str:
        return "ServerSecrets(...)"

    @classmethod
    def read(cls, folder: DataFolder, settings: Settings) -> "ServerSecrets":
        """Read the secrets. Those that the data folder lacks are generated.

        Raises DataFolderError if a file of the folder cannot be used, and ConfigError for an invalid IAM policy.
        """
        randomness = SystemRandomness()
        access_key = folder.access_key(account_id=settings.account_id, randomness=randomness)
        own = AwsCredential(
            access_key_id=access_key.access_key_id,
            secret_access_key=access_key.secret_access_key,
            account_id=access_key.account_id,
        )
        return cls(
            access_key=access_key,
            token_signing_key_pem=folder.token_signing_key(),
            page_token_secret=folder.page_token_secret(randomness=randomness),
            credentials=(own, *_configured_credentials(settings)),
            storage_secret=settings.storage_s3_secret_access_key,
            channel_secrets=tuple(channel_secrets(settings.channels)),
            livekit_secret=settings.livekit_api_secret,
            cluster_secrets=_cluster_secrets(settings),
        )

    def secret_strings(self) -> Sequence[str]:
        """Return the strings that must not appear in a log line."""
        tokens = [credential.session_token for credential in self.credentials if credential.session_token]
        optional = [secret for secret in (self.storage_secret, self.livekit_secret) if secret is not None]
        return [
            *(credential.secret_access_key for credential in self.credentials),
            *tokens,
            *optional,
            *self.channel_secrets,
            *self.cluster_secrets,
        ]


def _cluster_secrets(settings: Settings) -> tuple[str, ...]:
    of_database = [] if settings.database_url is None else database_secrets(settings.database_url)
    return (*of_database, *([] if settings.cluster_secret is None else [settings.cluster_secret]))


def _configured_credentials(settings: Settings) -> Sequence[AwsCredential]:
    try:
        return [
            AwsCredential(
                access_key_id=credential.access_key_id,
                secret_access_key=credential.secret_access_key,
                account_id=credential.account_id,
                user_name=credential.user_name,
                session_token=credential.session_token,
                policy=parse_policy(credential.policy),
            )
            for credential in settings.credentials
        ]
    except ValueError as error:
        raise ConfigError(name="credentials", rule=str(error)) from error
