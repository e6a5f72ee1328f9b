"""Taking accounts on a connection whose session has ended since its last use."""

from stagebook.book.postgres.leases.account_acquisition import NO_LEASE_PASSES_SECONDS, AccountAcquisition
from stagebook.book.postgres.leases.account_leases import take_account
from stagebook.book.postgres.leases.node_run import register_run
from stagebook.book.postgres.postgres_connection import PostgresConnection
from tests.book.postgres.cuttable_proxy import CuttableProxy

ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"


def new_run(connection: PostgresConnection) -> int:
    return register_run(connection, node="a", internal_url="", software_version="")


def test_accounts_are_taken_and_left_after_a_restart_of_the_database(postgres_book_url: str) -> None:
    with CuttableProxy(postgres_book_url) as proxy:

        def end_sessions() -> None:
            proxy.refuse()
            proxy.heal()

        connection = PostgresConnection(proxy.url)
        acquisition = AccountAcquisition(connection, run_id=new_run(connection), reads_account_keys=False)
        assert acquisition.take(ACCOUNT) is not None
        end_sessions()
        assert acquisition.take(OTHER_ACCOUNT) is not None
        end_sessions()
        acquisition.new_blocks()
        end_sessions()
        acquisition.new_block(0)
        end_sessions()
        acquisition.close()
    direct = PostgresConnection(postgres_book_url)
    for account_id in (ACCOUNT, OTHER_ACCOUNT):
        # Nobody waits for the lease of a run that has ended.
        taking = take_account(direct, account_id, run_id=new_run(direct), lease_seconds=NO_LEASE_PASSES_SECONDS)
        assert taking.is_taken
    direct.close()
