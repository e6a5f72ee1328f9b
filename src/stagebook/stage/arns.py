"""The ARN of a resource: `arn:aws:ivs:<region>:<account>:<type>/<id>` (the ARN shapes of the service model)."""

import re

import msgspec

from stagebook.stage.errors import MalformedArnError

_ARN = re.compile(r"arn:aws:ivs:([a-z0-9-]+):([0-9]+):([a-z-]+)/([a-zA-Z0-9-]+)")
MAXIMUM_LENGTH = 128


class Arn(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed ARN; `str()` gives its text."""

    region: str
    account_id: str
    resource_type: str
    resource_id: str

    def __str__(self) -> str:
        return f"arn:aws:ivs:{self.region}:{self.account_id}:{self.resource_type}/{self.resource_id}"


def parse_arn(text: str) -> Arn:
    """Return the parts of `text`; raise MalformedArnError when it is not an ARN of this service."""
    match = _ARN.fullmatch(text)
    if match is None or len(text) > MAXIMUM_LENGTH:
        raise MalformedArnError(text=text[:MAXIMUM_LENGTH])
    region, account_id, resource_type, resource_id = match.groups()
    return Arn(region=region, account_id=account_id, resource_type=resource_type, resource_id=resource_id)


def stage_arn(*, region: str, account_id: str, resource_id: str) -> str:
    """Return the text of a stage's ARN."""
    return str(Arn(region=region, account_id=account_id, resource_type="stage", resource_id=resource_id))
