"""The ARN of a resource: `arn:aws:ivs:<region>:<account>:<type>/<id>` (the ARN shapes of the service model)."""

import re

import msgspec

from stagebook.stage.errors import MalformedArnError

_ARN = re.compile(r"arn:aws:ivs:([a-z0-9-]+):([0-9]+):([a-z-]+)/([a-zA-Z0-9-]+)")
MAXIMUM_LENGTH = 128
_ARN_PARTS = 6
"""arn:aws:ivs:region:account:type/id."""
_ACCOUNT_PART = 4

STAGE = "stage"
PUBLIC_KEY = "public-key"
INGEST_CONFIGURATION = "ingest-configuration"
ENCODER_CONFIGURATION = "encoder-configuration"
STORAGE_CONFIGURATION = "storage-configuration"
COMPOSITION = "composition"
"""The types of resources, as ARNs name them."""


class Arn(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed ARN; `str()` returns it as a string."""

    region: str
    account_id: str
    resource_type: str
    resource_id: str

    def __str__(self) -> str:
        return f"arn:aws:ivs:{self.region}:{self.account_id}:{self.resource_type}/{self.resource_id}"


def account_in(text: str) -> str | None:
    """Return what has the place of the account in a text of the form of an ARN; None in any other text.

    It costs less than `parse_arn`, and checks nothing else.
    """
    parts = text.split(":", _ARN_PARTS - 1)
    return parts[_ACCOUNT_PART] if len(parts) == _ARN_PARTS else None


def parse_arn(text: str) -> Arn:
    """Return the parts of an ARN.

    Raises MalformedArnError if `text` is longer than 128 characters (shape StageArn and its siblings) or not an ARN of
    the service `ivs` in the partition `aws`. The resource need not exist, and any resource type is accepted.
    """
    match = _ARN.fullmatch(text)
    if match is None or len(text) > MAXIMUM_LENGTH:
        raise MalformedArnError(text=text[:MAXIMUM_LENGTH])
    region, account_id, resource_type, resource_id = match.groups()
    return Arn(region=region, account_id=account_id, resource_type=resource_type, resource_id=resource_id)
