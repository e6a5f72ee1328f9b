"""Creates the ids of resources, sessions, participants and connections.

The forms follow the samples of the API reference: base-62 characters of a fixed length. 12 characters are 71 bits, so
ids are not checked for duplicates: with 10 million ids the probability of an equal pair is below 10**-7. The source of
random bytes is an argument, so tests can make ids repeatable.
"""

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
    """Return the ARN of a new resource with an id of 12 base-62 characters. `resource_type` is a constant of `arns`."""
    resource_id = _base62(randomness, RESOURCE_ID_LENGTH)
    return Arn(region=region, account_id=account_id, resource_type=resource_type, resource_id=resource_id)


def new_participant_id(randomness: Randomness) -> str:
    """Return a new participant id: 12 base-62 characters."""
    return _base62(randomness, RESOURCE_ID_LENGTH)


def new_destination_id(randomness: Randomness) -> str:
    """Return the id of a new destination of a composition: 12 base-62 characters."""
    return _base62(randomness, RESOURCE_ID_LENGTH)


def new_session_id(randomness: Randomness) -> str:
    """Return a new stage session id: `st-` and 13 base-62 characters, 16 in all (shape StageSessionId)."""
    return SESSION_ID_PREFIX + _base62(randomness, SESSION_ID_LENGTH - len(SESSION_ID_PREFIX))


def new_stream_key(configuration: Arn, randomness: Randomness) -> str:
    """Return a new stream key of an ingest configuration: `rt_<account>_<region>_<id>_<30 base-62 characters>`.

    Source: shape StreamKey. The key is a secret of 178 bits: an encoder that has it can publish.
    """
    half = STREAM_KEY_SECRET_LENGTH // 2
    secret = _base62(randomness, half) + _base62(randomness, half)
    return f"rt_{configuration.account_id}_{configuration.region}_{configuration.resource_id}_{secret}"


def new_connection_id(randomness: Randomness) -> str:
    """Return the id of one connection of a participant: 128 bits, unguessable, safe in a URL path."""
    return randomness.token_bytes(16).hex()


def new_source_id(account_id: str, randomness: Randomness) -> str:
    """Return the id of one publication in the media engine: `<account>.<128 bits>`.

    An engine whose servers are shared names its objects by it, so that each of their reports tells its account.
    """
    return f"{account_id}.{randomness.token_bytes(16).hex()}"
