"""The accounts that a node owns: their stages, resources and revocations, as the book has them.

A node is the only writer of an account that it owns. So what was loaded once stays true as long as each change is
applied to it when its transaction is durable. Participants, events, recordings and compositions are not here: the
manager has those that are open, and fetches a row of the past before it needs it (`decision_book.py`).
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from stagebook.book.changes import (
    Change,
    DeleteResource,
    DeleteStage,
    EndSession,
    OpenSession,
    PutResource,
    PutStage,
    RevokeConnectionToken,
    RevokeParticipant,
)
from stagebook.book.memory.loaded_account import LoadedAccount
from stagebook.stage.arns import parse_arn
from stagebook.stage.resources import Resource, Stage, StageSession


class AccountMemory:
    """The values of the accounts that were added. Reads are those of `DecisionReader`; other accounts have nothing."""

    def __init__(self) -> None:
        self._stages: dict[str, Stage] = {}
        self._stage_counts: Counter[str] = Counter()
        self._sessions: dict[str, StageSession] = {}
        """The open sessions by the ARN of their stage."""
        self._resources: dict[str, Resource] = {}
        self._resource_counts: Counter[tuple[str, str]] = Counter()
        self._revoked: dict[str, set[str]] = {}
        """The participant ids that may not join a stage, by its ARN."""
        self._connection_tokens: dict[str, set[str]] = {}
        """The revoked connection tokens by account."""
        self._bound: set[tuple[str, str]] = set()
        """The stages with a participant that needs a connection token, by account and stage id."""
        self._apply: Mapping[type[Change], Callable[[Any], None]] = {
            PutStage: lambda change: self._put_stage(change.stage),
            DeleteStage: lambda change: self._delete_stage(change.stage_arn),
            OpenSession: self._open_session,
            EndSession: self._end_session,
            RevokeParticipant: lambda change: self._revoke(change.stage_arn, change.participant_id),
            PutResource: lambda change: self._put_resource(change.resource),
            DeleteResource: lambda change: self._delete_resource(change.arn),
            RevokeConnectionToken: lambda change: self._revoke_token(change.account_id, change.token_id),
        }

    def add(self, account: LoadedAccount) -> None:
        """Add an account. Its changes must be applied from now on."""
        for stage in account.stages:
            self._put_stage(stage)
        for session in account.sessions:
            if session.stage_arn in self._stages:
                self._set_session(session.stage_arn, session)
        for resource in account.resources:
            self._put_resource(resource)
        for revocation in account.revocations:
            self._revoke(revocation.stage_arn, revocation.participant_id)
        for token_id in account.connection_tokens:
            self._revoke_token(account.account_id, token_id)

    def holds(self, change: Change) -> bool:
        """Return whether a change must be applied. The frequent ones need not."""
        return type(change) in self._apply

    def apply(self, change: Change) -> None:
        """Apply a change that is durable, in the order in which the changes were submitted."""
        self._apply[type(change)](change)

    def get_stage(self, stage_arn: str) -> Stage | None:
        """Return the stage with the id of its active session, or None."""
        return self._stages.get(stage_arn)

    def count_stages(self, account_id: str) -> int:
        """Return the number of stages of the account."""
        return self._stage_counts[account_id]

    def get_open_session(self, stage_arn: str) -> StageSession | None:
        """Return the open session of a stage, or None."""
        return self._sessions.get(stage_arn)

    def get_resource(self, arn: str) -> Resource | None:
        """Return a standalone resource, or None."""
        return self._resources.get(arn)

    def count_resources(self, account_id: str, resource_type: str) -> int:
        """Return the number of the account's resources of one type."""
        return self._resource_counts[account_id, resource_type]

    def has_revoked(self, stage_arn: str) -> bool:
        """Return whether any participant id may not join this stage again."""
        return stage_arn in self._revoked

    def is_revoked(self, stage_arn: str, participant_id: str) -> bool:
        """Return whether this participant id may not join this stage again."""
        return participant_id in self._revoked.get(stage_arn, ())

    def has_bound_participants(self, account_id: str, stage_id: str) -> bool:
        """Return whether any participant of a stage is refused without a connection token."""
        return (account_id, stage_id) in self._bound

    def is_connection_token_revoked(self, account_id: str, token_id: str) -> bool:
        """Return whether this connection token of the account was revoked."""
        return token_id in self._connection_tokens.get(account_id, ())

    def _put_stage(self, stage: Stage) -> None:
        known = self._stages.get(stage.arn)
        if known is None:
            self._stage_counts[stage.account_id] += 1
            self._stages[stage.arn] = replace(stage, active_session_id=None)
        else:
            self._stages[stage.arn] = replace(known, name=stage.name, tags=stage.tags, recording=stage.recording)

    def _delete_stage(self, stage_arn: str) -> None:
        stage = self._stages.pop(stage_arn, None)
        if stage is not None:
            self._stage_counts[stage.account_id] -= 1
        self._revoked.pop(stage_arn, None)
        self._sessions.pop(stage_arn, None)

    def _open_session(self, change: OpenSession) -> None:
        session = StageSession(stage_arn=change.stage_arn, session_id=change.session_id, start_ms=change.start_ms)
        self._set_session(change.stage_arn, session)

    def _end_session(self, change: EndSession) -> None:
        self._set_session(change.stage_arn, None)

    def _set_session(self, stage_arn: str, session: StageSession | None) -> None:
        stage = self._stages.get(stage_arn)
        if stage is not None:
            self._stages[stage_arn] = replace(stage, active_session_id=None if session is None else session.session_id)
        if session is None:
            self._sessions.pop(stage_arn, None)
        else:
            self._sessions[stage_arn] = session

    def _revoke(self, stage_arn: str, participant_id: str) -> None:
        self._revoked.setdefault(stage_arn, set()).add(participant_id)

    def _put_resource(self, resource: Resource) -> None:
        if resource.arn not in self._resources:
            self._resource_counts[_account_and_type(resource.arn)] += 1
        self._resources[resource.arn] = resource

    def _delete_resource(self, arn: str) -> None:
        if self._resources.pop(arn, None) is not None:
            self._resource_counts[_account_and_type(arn)] -= 1

    def _revoke_token(self, account_id: str, token_id: str) -> None:
        self._connection_tokens.setdefault(account_id, set()).add(token_id)
        stage_id, slash, _ = token_id.partition("/")
        if slash:
            self._bound.add((account_id, stage_id))


def _account_and_type(arn: str) -> tuple[str, str]:
    parsed = parse_arn(arn)
    return parsed.account_id, parsed.resource_type
