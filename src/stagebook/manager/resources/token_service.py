"""CreateParticipantToken: mints participant tokens (API reference, CreateParticipantToken).

Nothing is stored for a token: the token itself holds what it grants.
"""

from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.manager.tokens.authorization import Authorization
from stagebook.manager.tokens.token_authority import TokenAuthority
from stagebook.stage.claims import DEFAULT_DURATION_MINUTES, Claims, MintedToken, TokenSpec
from stagebook.stage.clock import Randomness
from stagebook.stage.errors import ResourceNotFoundError
from stagebook.stage.ids import new_participant_id
from stagebook.stage.input_rules import check_attributes
from stagebook.stage.limits import Limits
from stagebook.stage.resources import Capability
from stagebook.stage.room_stages import require_no_room


class TokenService:
    """Mints the tokens of new participants."""

    def __init__(
        self,
        *,
        unit: UnitOfWork,
        authority: TokenAuthority,
        authorization: Authorization,
        limits: Limits,
        randomness: Randomness,
    ) -> None:
        self._unit = unit
        self._authority = authority
        self._authorization = authorization
        self._limits = limits
        self._randomness = randomness

    def check(self, spec: TokenSpec) -> None:
        """Raise InvalidInputError if the attributes have more bytes than the quota `attributes_size_bytes`."""
        check_attributes(spec.attributes or {}, size_bytes=self._limits.attributes_size_bytes)

    def create(self, *, stage_arn: str, spec: TokenSpec) -> MintedToken:
        """Return a token for a new participant. Raises ResourceNotFoundError and InvalidInputError (attributes)."""
        if self._unit.book.get_stage(stage_arn) is None or self._authorization.is_being_deleted(stage_arn):
            raise ResourceNotFoundError(kind="stage", name=stage_arn)
        require_no_room(stage_arn, member="stageArn")
        return self.mint(stage_arn, spec)

    def mint(self, stage_arn: str, spec: TokenSpec) -> MintedToken:
        """Return a token for a new participant of a stage that exists. Raises InvalidInputError (attributes).

        Members that `spec` does not give have AWS's defaults: 720 minutes, all capabilities, no user id, no attributes.
        """
        self.check(spec)
        issued_at_seconds = self._unit.system_time_ms() // 1000
        minutes = DEFAULT_DURATION_MINUTES if spec.duration_minutes is None else spec.duration_minutes
        claims = Claims(
            participant_id=new_participant_id(self._randomness),
            stage_arn=stage_arn,
            capabilities=frozenset(Capability) if spec.capabilities is None else frozenset(spec.capabilities),
            user_id=spec.user_id or "",
            attributes=spec.attributes or {},
            issued_at_seconds=issued_at_seconds,
            expires_at_seconds=issued_at_seconds + minutes * 60,
        )
        return MintedToken(
            participant_id=claims.participant_id,
            token=self._authority.mint(claims),
            expiration_ms=claims.expires_at_seconds * 1000,
            spec=spec,
        )
