"""Our ICE username fragments and passwords, and the engine that each fragment names (RFC 8445 section 5.3).

All engine processes of a server share one TCP port. The first packet of a connection is a connectivity check with our
fragment, so a fragment begins with the number of the engine that made it. Then any engine can tell from the check alone
to which engine the connection belongs. 64 engines have numbers from 0 to 63, and ICE has 64 characters.
"""

from random import Random
from typing import Final

from stagebook.media.rtc.ice.ice_lite import IceCredentials

ICE_CHARACTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
"""The ice-char alphabet of RFC 8839 section 5.4: 6 bits for each character."""
_RANDOM_CHARACTERS: Final = 12
"""72 bits make a fragment unique among all connections of an engine. RFC 8445 section 5.3 asks for 24."""
_PWD_CHARACTERS: Final = 24
"""144 bits. RFC 8445 section 5.3 asks for 128."""


def make_credentials(randomness: Random, *, engine_number: int) -> IceCredentials:
    """Return new credentials of an engine. `randomness` must be fit for secrets."""
    ufrag = ICE_CHARACTERS[engine_number] + "".join(randomness.choices(ICE_CHARACTERS, k=_RANDOM_CHARACTERS))
    return IceCredentials(ufrag=ufrag, pwd="".join(randomness.choices(ICE_CHARACTERS, k=_PWD_CHARACTERS)))


def engine_of(ufrag: str) -> int | None:
    """Return the number of the engine that made a fragment; None for what no engine can have made."""
    number = ICE_CHARACTERS.find(ufrag[:1]) if ufrag else -1
    return None if number < 0 else number
