"""The keys with which participants of tests sign their tokens, so that these can be exchanged.

AWS exchanges only tokens that an application has signed with a key of its own (user guide, "Token Exchange"). These
keys stand for it. Each account has one. It is in memory only, so it takes none of the account's quota for public keys
and is in no list.
"""

from collections.abc import Callable

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from stagebook.manager.tokens.jwt_authority import ALGORITHM
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.manager.tokens.token_payload import write_participant
from stagebook.stage.arns import PUBLIC_KEY, parse_arn
from stagebook.stage.claims import Claims
from stagebook.stage.clock import Randomness
from stagebook.stage.ids import new_arn


class KeysOfTests:
    """The keys of all accounts of one server with `--testing`."""

    def __init__(self, randomness: Randomness) -> None:
        self._randomness = randomness
        self._jws = jwt.PyJWS(algorithms=[ALGORITHM])
        self._arns: dict[tuple[str, str], str] = {}
        self._keys: dict[str, ec.EllipticCurvePrivateKey] = {}

    def sign(self, claims: Claims, endpoints: Endpoints) -> str:
        """Return a token with these claims, signed with the key of the stage's account."""
        arn = self._arn_for(claims.stage_arn)
        return self._jws.encode(
            write_participant(claims, endpoints), self._keys[arn], algorithm=ALGORITHM, headers={"kid": arn}
        )

    def before(
        self, find: Callable[[str], ec.EllipticCurvePublicKey | None]
    ) -> Callable[[str], ec.EllipticCurvePublicKey | None]:
        """Return a function that finds these keys by their ARNs, and any other key with `find`."""

        def find_any(arn: str) -> ec.EllipticCurvePublicKey | None:
            key = self._keys.get(arn)
            return find(arn) if key is None else key.public_key()

        return find_any

    def _arn_for(self, stage_arn: str) -> str:
        stage = parse_arn(stage_arn)
        home = (stage.region, stage.account_id)
        arn = self._arns.get(home)
        if arn is None:
            region, account_id = home
            arn = self._arns[home] = str(
                new_arn(region=region, account_id=account_id, resource_type=PUBLIC_KEY, randomness=self._randomness)
            )
            self._keys[arn] = ec.generate_private_key(ec.SECP384R1())
        return arn
