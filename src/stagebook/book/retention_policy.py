"""How long a book keeps ended sessions, deleted stages and revocations: by age, per account and per stage.

The age of a session counts from its end, that of a deleted stage from its deletion. An open session has no age. The
most specific rule counts: that of the stage, then that of its account, then the default. Without a rule a book keeps
everything.

A revocation refuses tokens that were issued before it. So it is kept for at least as long as such a token can be valid,
however short the age is.
"""

from collections.abc import Mapping

import msgspec

DAY_MS = 24 * 3_600 * 1_000


class RetentionPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Ages in days, by account id and by stage ARN; 0 keeps for ever.

    `participant_token_ms` and `connection_token_ms` are the longest times for which a token can be valid.
    """

    default_days: int = 0
    account_days: Mapping[str, int] = {}
    stage_days: Mapping[str, int] = {}
    participant_token_ms: int
    connection_token_ms: int

    @property
    def deletes(self) -> bool:
        """Whether anything has an age at which it is deleted."""
        return any((self.default_days, *self.account_days.values(), *self.stage_days.values()))

    def stage_cutoff_ms(self, account_id: str, stage_arn: str, *, now_ms: int) -> int | None:
        """Return the time before which a session of the stage must have ended to be deleted; None keeps all."""
        return _cutoff_ms(self.stage_days.get(stage_arn, self._account_days(account_id)), now_ms)

    def revocation_cutoff_ms(self, account_id: str, stage_arn: str, *, now_ms: int) -> int | None:
        """Return the time before which a participant of the stage must have been revoked to be forgotten."""
        cutoff_ms = self.stage_cutoff_ms(account_id, stage_arn, now_ms=now_ms)
        return None if cutoff_ms is None else min(cutoff_ms, now_ms - self.participant_token_ms)

    def connection_cutoff_ms(self, account_id: str, *, now_ms: int) -> int | None:
        """Return the time before which a connection token must have been revoked to be forgotten."""
        cutoff_ms = _cutoff_ms(self._account_days(account_id), now_ms)
        return None if cutoff_ms is None else min(cutoff_ms, now_ms - self.connection_token_ms)

    def _account_days(self, account_id: str) -> int:
        return self.account_days.get(account_id, self.default_days)


def _cutoff_ms(days: int, now_ms: int) -> int | None:
    return now_ms - days * DAY_MS if days else None
