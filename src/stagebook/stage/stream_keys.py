"""The form of stream keys, and the ingest configuration that a key names. `ids.py` creates them.

Source: shape StreamKey of the `ivs-realtime` model and the samples of the API reference. `rtmp_join.py` of the manager
compares the secret.
"""

import re

from stagebook.stage.arns import INGEST_CONFIGURATION, Arn

_ACCOUNT, _REGION, _ID = "[0-9]{1,32}", "[a-z0-9-]{1,32}", "[a-zA-Z0-9-]{1,32}"
# A secret of any length: a truncated key still names its configuration, so the refusal is recorded as an event of the
# configuration's participant, where an operator finds it.
_KEY = re.compile(f"rt_({_ACCOUNT})_({_REGION})_({_ID})_[0-9a-zA-Z]{{1,64}}", re.ASCII)


def configuration_of_stream_key(text: str) -> Arn | None:
    """Return the ARN of the ingest configuration that a stream key names, or None for any other string.

    The key carries the account, the region and the id of its configuration, so no index of secrets is needed. The
    configuration need not exist, and the secret need not be right.
    """
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    account_id, region, resource_id = match.groups()
    return Arn(region=region, account_id=account_id, resource_type=INGEST_CONFIGURATION, resource_id=resource_id)
