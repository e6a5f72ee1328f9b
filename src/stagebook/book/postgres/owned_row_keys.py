"""Which account a change is of, and row keys that are only looked up for accounts that this node owns."""

from collections.abc import Collection

from stagebook.book.book_errors import ChangeRefusedError
from stagebook.book.changes import (
    Change,
    DeleteResource,
    PutComposition,
    PutResource,
    PutStage,
    RevokeConnectionToken,
)
from stagebook.book.tables.key_sequence import KeySequence
from stagebook.book.tables.row_keys import StageKeys
from stagebook.book.tables.stored_row_keys import StoredRowKeys
from stagebook.book.tables.table_connection import TableConnection
from stagebook.stage.arns import account_in


class OwnedRowKeys(StoredRowKeys):
    """Row keys that are read from the store. The stages of accounts that are not in `owned` are refused."""

    def __init__(
        self,
        connection: TableConnection,
        owned: Collection[str],
        *,
        stage_keys: KeySequence,
        session_keys: KeySequence,
        composition_keys: KeySequence,
    ) -> None:
        super().__init__(
            connection, stage_keys=stage_keys, session_keys=session_keys, composition_keys=composition_keys
        )
        self._owned = owned

    def _look_up_stage(self, stage_arn: str) -> StageKeys | None:
        require_owned(account_in(stage_arn), self._owned)
        return super()._look_up_stage(stage_arn)


def account_of_change(change: Change) -> str | None:
    """Return the account of a change that refers to no stage that exists; None for the other changes."""
    match change:
        case PutStage(stage=stage):
            return stage.account_id
        case PutResource(resource=resource):
            return resource.account_id
        case DeleteResource(arn=arn):
            return account_in(arn)
        case PutComposition(composition=composition):
            return composition.account_id
        case RevokeConnectionToken(account_id=account_id):
            return account_id
        case _:
            return None


def require_owned(account_id: str | None, owned: Collection[str]) -> None:
    """Raise ChangeRefusedError for an account that this node does not own."""
    if account_id is not None and account_id not in owned:
        raise ChangeRefusedError(f"account {account_id} is not owned by this node")
