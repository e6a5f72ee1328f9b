"""The pytest plugin (entry point `pytest11`): fixtures with a server.

pytest imports this module in every project of the environment, so it imports nothing else until a fixture is used.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from stagebook.testing.account_access import Account
    from stagebook.testing.running_server import StagebookServer


@pytest.fixture(scope="session", name="stagebook")
def stagebook_server() -> "Iterator[StagebookServer]":
    """One server for the whole test run, or for each worker of pytest-xdist."""
    from stagebook.testing.serve import serve

    with serve() as server:
        yield server


@pytest.fixture
def stagebook_account(stagebook: "StagebookServer") -> "Iterator[Account]":
    """A new account for one test, which sees nothing of other tests.

    After it, faults end, ids are random again, and a frozen clock runs.
    """
    yield stagebook.new_account()
    stagebook.reset()


@pytest.fixture
def ivs(stagebook: "StagebookServer", stagebook_account: "Account") -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
    """A boto3 client `ivs-realtime` with the new account of the test."""
    return stagebook.client(account=stagebook_account)


@pytest.fixture
def stagebook_environment(stagebook: "StagebookServer", stagebook_account: "Account") -> Iterator[dict[str, str]]:
    """The environment variables of AWS clients, set for one test, with its new account: for code that makes its own
    boto3 clients."""
    with stagebook.patched_environment(stagebook_account):
        yield stagebook.environment(stagebook_account)
