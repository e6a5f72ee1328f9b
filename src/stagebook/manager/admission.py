"""Who may come in: the token, the stage it speaks of, and the participants who were sent away for good.

Owns the memory of deletions and disconnections that are on their way into the book, so that nobody slips in between.
"""

from stagebook.book.port import BookReader
from stagebook.manager.tokens import TokenAuthority
from stagebook.stage.claims import Claims
from stagebook.stage.errors import TokenRefusal, TokenRefusedError
from stagebook.stage.resources import Stage

MAXIMUM_REMEMBERED = 50_000
"""How many participants' rights are remembered before all are forgotten and asked for anew."""


class Admission:
    """Checks tokens when they are used, and again when what they were used for is about to be recorded."""

    def __init__(self, *, book: BookReader, tokens: TokenAuthority) -> None:
        self._book = book
        self._tokens = tokens
        self._deleting: set[str] = set()
        self._revoking: set[tuple[str, str]] = set()
        self._welcome: dict[tuple[str, str], Stage] = {}

    def admit(self, token: str, *, now_ms: int) -> Claims:
        """Return what a token grants; raise TokenRefusedError."""
        claims = self._tokens.verify(token, now_ms=now_ms)
        self.require(claims)
        return claims

    def require(self, claims: Claims) -> Stage:
        """Return the stage of these claims; raise TokenRefusedError if it or the participant's right to it is gone.

        Asked several times for one arrival, so a yes is remembered until anything is deleted or anybody revoked.
        """
        key = (claims.stage_arn, claims.participant_id)
        known = self._welcome.get(key)
        if known is not None:
            return known
        stage = self._book.get_stage(claims.stage_arn)
        if stage is None or claims.stage_arn in self._deleting:
            raise TokenRefusedError(refusal=TokenRefusal.STAGE_DELETED, detail="the stage does not exist")
        if key in self._revoking or self._book.is_revoked(claims.stage_arn, claims.participant_id):
            raise TokenRefusedError(
                refusal=TokenRefusal.PARTICIPANT_DISCONNECTED,
                detail="the participant was disconnected from the stage; its token is no longer valid",
            )
        if len(self._welcome) >= MAXIMUM_REMEMBERED:
            self._welcome.clear()
        self._welcome[key] = stage
        return stage

    def begin_deletion(self, stage_arn: str) -> bool:
        """Let nobody onto the stage from now on; return False if its deletion is under way already."""
        if stage_arn in self._deleting:
            return False
        self._deleting.add(stage_arn)
        self._welcome.clear()
        return True

    def finish_deletion(self, stage_arn: str) -> None:
        """The deletion is in the book (or has failed)."""
        self._deleting.discard(stage_arn)

    def begin_revocation(self, stage_arn: str, participant_id: str) -> None:
        """Let this participant onto this stage no more."""
        self._revoking.add((stage_arn, participant_id))
        self._welcome.clear()

    def finish_revocation(self, stage_arn: str, participant_id: str) -> None:
        """The revocation is in the book (or has failed)."""
        self._revoking.discard((stage_arn, participant_id))
