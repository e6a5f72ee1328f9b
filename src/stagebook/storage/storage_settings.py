"""What a store is made from. The values can be sent to the process that uses it."""

from typing import TypeAlias
from urllib.parse import urlsplit

import msgspec


class FolderStorage(msgspec.Struct, frozen=True, kw_only=True, tag="folder"):
    """Objects in a local folder: `<path>/<bucket name>/<key>`."""

    path: str


class S3Storage(msgspec.Struct, frozen=True, kw_only=True, tag="s3"):
    """S3, or a server with its protocol.

    Without an access key, the credentials are those of the environment: the AWS_* variables, a container's role, or
    that of the EC2 instance.
    """

    region: str
    endpoint_url: str | None = None
    """None: that of AWS for the region."""
    access_key_id: str | None = None
    secret_access_key: str | None = None
    has_path_style: bool = True
    """The bucket is the first segment of the path. Otherwise it is a part of the host name."""
    timeout_seconds: float = 30.0
    """Timeout of one request, from the connection to the whole response."""

    def __repr__(self) -> str:
        return f"S3Storage(region={self.region!r}, endpoint_url={self.endpoint_url!r})"

    @property
    def allows_http(self) -> bool:
        """Whether requests may be without TLS: if the operator has named an endpoint that has none."""
        return self.endpoint_url is not None and urlsplit(self.endpoint_url).scheme == "http"


Storage: TypeAlias = FolderStorage | S3Storage
