"""What a running server logs when one of its tasks ends."""

import asyncio

from structlog.testing import capture_logs

from stagebook.server.server_run import _log_end_of_retention


async def test_a_failure_of_retention_is_logged_and_its_end_with_the_server_is_not() -> None:
    async def fail() -> None:
        raise LookupError("broken")

    failed, ended = asyncio.create_task(fail()), asyncio.create_task(asyncio.sleep(60))
    ended.cancel()
    await asyncio.wait([failed, ended])
    with capture_logs() as logs:
        _log_end_of_retention(failed)
        _log_end_of_retention(ended)
    assert [(line["log_level"], str(line["exc_info"])) for line in logs] == [("error", "broken")]
