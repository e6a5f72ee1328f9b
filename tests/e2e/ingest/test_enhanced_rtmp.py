"""Codecs that only enhanced RTMP can carry are refused by their name, not as garbage."""

import asyncio

import pytest
from av.error import FFmpegError

from tests.clients.enhanced_rtmp_encoder import ENCODERS, publish
from tests.e2e.ingest.ingest_of_test import IngestOfTest


@pytest.mark.parametrize("encoder", ENCODERS)
async def test_enhanced_rtmp_is_refused_by_its_codec(ingest: IngestOfTest, encoder: str) -> None:
    with pytest.raises(FFmpegError):
        await asyncio.to_thread(publish, f"{ingest.urls['RTMP']}{ingest.key}", encoder)
    await ingest.expect_events("JOINED", ("PUBLISH_ERROR", "INVALID_VIDEO_CODEC"), "LEFT")
