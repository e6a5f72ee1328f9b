"""Codecs that only enhanced RTMP can carry are refused as codecs, not as invalid input."""

import asyncio

import pytest
from av.error import FFmpegError

from tests.clients.enhanced_rtmp_encoder import ENCODERS, publish
from tests.e2e.ingest.ingest_handle import IngestHandle


@pytest.mark.parametrize("encoder", ENCODERS)
async def test_a_codec_of_enhanced_rtmp_is_refused_as_a_video_codec(ingest: IngestHandle, encoder: str) -> None:
    with pytest.raises(FFmpegError):
        await asyncio.to_thread(publish, f"{ingest.urls['RTMP']}{ingest.key}", encoder)
    await ingest.expect_events("JOINED", ("PUBLISH_ERROR", "INVALID_VIDEO_CODEC"), "LEFT")
