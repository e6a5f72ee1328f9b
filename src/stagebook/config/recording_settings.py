"""Settings of recordings and compositions: where their objects are stored, and what may wait for the store."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from stagebook.config.media_settings import MediaSettings
from stagebook.config.rules import Rule, is_base_url
from stagebook.storage.storage_settings import FolderStorage, S3Storage, Storage


class RecordingSettings(MediaSettings, frozen=True, kw_only=True):
    """The fourth part of `Settings`. `Settings` checks the values."""

    storage: Annotated[
        Literal["folder", "s3"],
        Rule(
            description="Where recordings are stored: in the folder `recordings` of the data folder, with a folder for "
            "each bucket, or in S3 or a server with its protocol."
        ),
    ] = "folder"
    storage_s3_endpoint: Annotated[
        str | None,
        Rule(
            description="Base URL of the S3 server. Default: that of AWS for the region.",
            requirement="an http or https URL without a trailing slash, query or user name",
            unit="URL",
            accepts=lambda value: value is None or is_base_url(value),
        ),
    ] = None
    storage_s3_region: Annotated[
        str | None,
        Rule(
            description="Region of the buckets. Default: `region`.",
            requirement="a region name",
            accepts=lambda value: value != "",
        ),
    ] = None
    storage_s3_path_style: Annotated[
        bool,
        Rule(description="Whether the bucket is in the path of the URLs. Otherwise it is a part of the host name."),
    ] = True
    storage_s3_access_key_id: Annotated[
        str | None,
        Rule(
            description="Access key for S3. Default: the credentials of the environment, as in the AWS SDKs "
            "(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the role of a container or an EC2 instance).",
            requirement="an access key id",
            accepts=lambda value: value != "",
        ),
    ] = None
    storage_s3_secret_access_key: Annotated[
        str | None,
        Rule(
            description="Secret of `storage_s3_access_key_id`; only in the TOML file.",
            requirement="a secret access key",
            accepts=lambda value: value != "",
        ),
    ] = None
    recording_spool_megabytes: Annotated[
        int,
        Rule(
            description="How much may wait on the disk for a store that is slow or down. Above it, the recording with "
            "the most fails, and the others go on. What failed recordings have left may take as much again.",
            unit="MB",
            minimum=16,
            maximum=1_000_000,
        ),
    ] = 2_000
    recording_leftover_days: Annotated[
        int,
        Rule(
            description="How many days the store may refuse what a recording or a composition has left on the disk. "
            "After them, the objects that the store does not have are deleted.",
            unit="days",
            minimum=1,
            maximum=3_650,
        ),
    ] = 14
    recording_end_timeout_seconds: Annotated[
        float,
        Rule(
            description="Time in which the store must have all objects of a recording that has ended. After it, the "
            "recording has failed; the objects are still uploaded.",
            unit="seconds",
            minimum=1,
            maximum=3_600,
        ),
    ] = 60.0

    def _storage_conflicts(self) -> Iterator[tuple[str, str]]:
        """Yield each setting of the storage that conflicts with another one, and what is required."""
        if (self.storage_s3_access_key_id is None) != (self.storage_s3_secret_access_key is None):
            yield "storage_s3_access_key_id", "must be set together with storage_s3_secret_access_key: set both or none"
        if self.storage == "folder" and self.storage_s3_endpoint is not None:
            yield "storage_s3_endpoint", 'needs storage = "s3"'

    def object_storage(self, recordings: Path) -> Storage:
        """Return the store of the settings. `recordings` is the folder of the embedded one."""
        if self.storage == "folder":
            return FolderStorage(path=str(recordings))
        return S3Storage(
            region=self.storage_s3_region or self.region,
            endpoint_url=self.storage_s3_endpoint,
            access_key_id=self.storage_s3_access_key_id,
            secret_access_key=self.storage_s3_secret_access_key,
            has_path_style=self.storage_s3_path_style,
        )
