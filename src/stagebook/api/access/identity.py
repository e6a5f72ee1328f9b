"""Who calls an operation of the AWS API, however the request was authenticated."""

import msgspec

from stagebook.api.access.policy import Policy


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticated caller. `arn` is what AccessDenied errors call it; `access_key_id` is the id of its key."""

    access_key_id: str
    account_id: str
    arn: str
    policy: Policy
