"""The fixture `api`: all operations over a real stage manager and an empty book."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.api.aws.operations.aws_api_harness import AwsApiHarness, open_api


@pytest_asyncio.fixture
async def api(tmp_path: Path) -> AsyncIterator[AwsApiHarness]:
    async with open_api(tmp_path) as opened:
        yield opened
