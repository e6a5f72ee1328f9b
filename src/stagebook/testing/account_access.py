"""An account of a server, and what AWS clients need to use it."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec


class Account(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An account and its access key. Accounts do not see each other's stages."""

    account_id: str
    access_key_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        return f"Account(account_id={self.account_id!r}, access_key_id={self.access_key_id!r})"


def client_environment(account: Account, *, endpoint_url: str, region: str) -> dict[str, str]:
    """Return the environment variables with which AWS SDKs and the AWS CLI use this server as this account.

    Files with settings or credentials of a user's real account are not read.
    """
    return {
        "AWS_ENDPOINT_URL_IVS_REALTIME": endpoint_url,
        "AWS_ACCESS_KEY_ID": account.access_key_id,
        "AWS_SECRET_ACCESS_KEY": account.secret_access_key,
        # A session token of other credentials would be sent with this key, and be refused.
        "AWS_SESSION_TOKEN": "",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def patched_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the block, and restore their former values after it.

    boto3 keeps the session of `boto3.client(...)`, with the credentials that it has found first. So that session is put
    aside as well. The environment belongs to the whole process: do not use this on two threads at a time.
    """
    former = {name: os.environ.get(name) for name in variables}
    boto3: Any = sys.modules.get("boto3")
    session = None if boto3 is None else boto3.DEFAULT_SESSION
    os.environ.update(variables)
    if boto3 is not None:
        boto3.DEFAULT_SESSION = None
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        # Also if the block was the first to import boto3: its session has the credentials of this server.
        boto3 = sys.modules.get("boto3")
        if boto3 is not None:
            boto3.DEFAULT_SESSION = session
