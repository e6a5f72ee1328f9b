"""The form of stream keys: which ingest configuration a key speaks of. Whether its secret is right is not known here.

Source: shape StreamKey of the `ivs-realtime` model and the samples of the API reference; `ids.py` makes them.
"""

import re

from stagebook.stage.arns import Arn

INGEST_CONFIGURATION = "ingest-configuration"
"""The resource type of ingest configurations, as in ARNs."""

_ACCOUNT, _REGION, _ID = "[0-9]{1,32}", "[a-z0-9-]{1,32}", "[a-zA-Z0-9-]{1,32}"
# A secret of any length: a key that was not copied whole is a wrong key of its configuration, which should hear of it.
_KEY = re.compile(f"rt_({_ACCOUNT})_({_REGION})_({_ID})_[0-9a-zA-Z]{{1,64}}", re.ASCII)


def configuration_of_stream_key(text: str) -> Arn | None:
    """Return the ARN of the ingest configuration that a stream key names, or None for what is no stream key.

    An answer says nothing of the secret, nor that there is such a configuration.
    """
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    account_id, region, resource_id = match.groups()
    return Arn(region=region, account_id=account_id, resource_type=INGEST_CONFIGURATION, resource_id=resource_id)
