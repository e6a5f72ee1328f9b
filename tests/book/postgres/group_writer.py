"""Writes transactions into a book in PostgreSQL, without the thread and the queue of a server."""

from collections.abc import Sequence

from stagebook.book.changes import Change
from stagebook.book.postgres.leases.node_run import read_sequence_slot, register_run
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.schema.account_functions import SEQUENCE_SLOTS
from stagebook.book.postgres.write_function import WRITE, group_parameters
from stagebook.book.tables.change_rows import ChangeTranslator
from stagebook.book.tables.stored_row_keys import StoredRowKeys
from tests.book.sample import SEAL


class GroupWriter:
    """The only writer of a book: keys, sequence numbers, and groups that are written at once."""

    def __init__(self, connection: PostgresConnection, *, sequence_slots: int = SEQUENCE_SLOTS) -> None:
        """Write as a new run. With one slot, sequence numbers are those of a SQLite book."""
        self.connection = connection
        self.run_id = register_run(connection, node="node", internal_url="", software_version="")
        slot = read_sequence_slot(connection, self.run_id)
        self.keys = StoredRowKeys.of_one_writer(connection)
        self.translator = ChangeTranslator(
            self.keys,
            seal=SEAL,
            last_sequence=slot.last_sequence,
            sequence_slot=slot.slot,
            sequence_slots=sequence_slots,
        )
        self.groups = 0

    def write(self, *transactions: Sequence[Change]) -> bool:
        """Write transactions as one group; return whether they were written by this call."""
        rows = [row for changes in transactions for row in self.translator.translate(changes)[1]]
        self.groups += 1
        return self.send(self.groups, group_parameters(rows))

    def send(self, group: int, parameters: Sequence[str | None]) -> bool:
        """Send a group with this number."""
        arguments = (self.run_id, group, self.translator.last_sequence, *parameters)
        ((is_written,),) = self.connection.execute(WRITE, arguments)
        return bool(is_written)
