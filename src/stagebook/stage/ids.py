"""Creates the ids of resources, sessions, participants and connections from randomness that is passed in."""

from stagebook.stage.arns import Arn
from stagebook.stage.clock import Randomness

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RESOURCE_ID_LENGTH = 12
SESSION_ID_PREFIX = "st-"
SESSION_ID_LENGTH = 16
STREAM_KEY_SECRET_LENGTH = 30


def _base62(randomness: Randomness, length: int) -> str:
    # 16 random bytes for at most 15 characters: the bias of the modulus is below 2**-38.
    number = int.from_bytes(randomness.token_bytes(16), "big")
    letters = []
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[digit])
    return "".join(letters)


def new_arn(*, region: str, account_id: str, resource_type: str, randomness: Randomness) -> Arn:
    """Return the ARN of a new resource."""
    resource_id = _base62(randomness, RESOURCE_ID_LENGTH)
    return Arn(region=region, account_id=account_id, resource_type=resource_type, resource_id=resource_id)


def new_participant_id(randomness: Randomness) -> str:
    """Return a new participant id: 12 base-62 characters."""
    return _base62(randomness, RESOURCE_ID_LENGTH)


def new_session_id(randomness: Randomness) -> str:
    """Return a new stage session id: `st-` and 13 base-62 characters, 16 in all (shape StageSessionId)."""
    return SESSION_ID_PREFIX + _base62(randomness, SESSION_ID_LENGTH - len(SESSION_ID_PREFIX))


def new_stream_key(configuration: Arn, randomness: Randomness) -> str:
    """Return a new stream key of an ingest configuration, `rt_<account>_<region>_<id>_<30 base-62 characters>`
    (shape StreamKey). A secret: whoever has it publishes."""
    half = STREAM_KEY_SECRET_LENGTH // 2
    secret = _base62(randomness, half) + _base62(randomness, half)
    return f"rt_{configuration.account_id}_{configuration.region}_{configuration.resource_id}_{secret}"


def new_connection_id(randomness: Randomness) -> str:
    """Return the id of one connection of a participant: 128 bits, unguessable, safe in a URL path."""
    return randomness.token_bytes(16).hex()
