"""Publishing with FFmpeg's WHIP muxer: it is the DTLS server, sends no STUN requests and ends with DELETE."""

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from stagebook.media.rtc.dtls.dtls_certificate import make_certificate
from tests.clients.encoder import Encoder
from tests.clients.ffmpeg_whip_publisher import HAS_WHIP_MUXER
from tests.e2e.participants.conftest import Peers
from tests.e2e.participants.stage_handle import StageHandle

pytestmark = pytest.mark.skipif(not HAS_WHIP_MUXER, reason="PyAV's FFmpeg has no WHIP muxer")


async def test_a_viewer_watches_ffmpeg(stage: StageHandle, peers: Peers, tmp_path: Path) -> None:
    publisher_id, publisher_token = await stage.token("PUBLISH")
    _, viewer_token = await stage.token("SUBSCRIBE")
    certificate = make_certificate(datetime.now(UTC))
    key_file, certificate_file = tmp_path / "key.pem", tmp_path / "certificate.pem"
    key_file.write_bytes(certificate.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    certificate_file.write_bytes(certificate.x509.public_bytes(Encoding.PEM))
    words = (sys.executable, "-m", "tests.clients.ffmpeg_whip_publisher", publisher_token)
    command = shlex.join([*words, str(key_file), str(certificate_file)])
    encoder = await Encoder.start(command, variables={})
    try:
        await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED")
        viewer = peers.viewer(viewer_token, publisher_id=publisher_id)
        await viewer.start()
        await viewer.wait_for_media()
        await encoder.stop()
        await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")
    finally:
        await encoder.kill()
