"""WHIP PATCH: trickle ICE and ICE restarts of a connected peer."""

import pytest

from stagebook.media.port import MediaRefusedError, RefusalReason
from tests.media.rtc.packets import rtp, vp8_delta
from tests.media.rtc.running_engine import SSRC, running_engine, start_video


async def test_an_ice_restart_changes_the_credentials_and_media_continues() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        await start_video(engine, publisher, viewer)
        viewer.ufrag, viewer.pwd = "newufrag", "n" * 24
        fragment = (
            f"a=ice-ufrag:{viewer.ufrag}\r\na=ice-pwd:{viewer.pwd}\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:1\r\n"
        )
        previous = viewer.server_ufrag
        answer = engine.forwarder.patch(connection_id="v", fragment=fragment, ice_session=previous)
        assert answer.fragment is not None
        assert answer.ice_session != previous
        # The previous credentials stay valid until the peer uses the new ones.
        await viewer.check()
        viewer.take_credentials(answer.fragment)
        viewer.change_address()
        await viewer.check()
        await publisher.send_rtp(rtp(vp8_delta(), sequence=11, ssrc=SSRC))
        assert (await viewer.receive_rtp()).payload == vp8_delta()
        with pytest.raises(MediaRefusedError) as refused:
            engine.forwarder.patch(connection_id="v", fragment="a=end-of-candidates\r\n", ice_session=previous)
        assert refused.value.reason is RefusalReason.ICE_SESSION_MISMATCH


async def test_a_trickle_fragment_has_no_answer() -> None:
    async with running_engine() as engine:
        publisher = await engine.publisher()
        fragment = f"a=ice-ufrag:{publisher.ufrag}\r\na=ice-pwd:{publisher.pwd}\r\na=end-of-candidates\r\n"
        answer = engine.forwarder.patch(connection_id="p", fragment=fragment, ice_session=None)
        assert (answer.fragment, answer.ice_session) == (None, publisher.server_ufrag)
        with pytest.raises(MediaRefusedError) as refused:
            engine.forwarder.patch(connection_id="unknown", fragment=fragment, ice_session=None)
        assert refused.value.reason is RefusalReason.UNKNOWN_CONNECTION
