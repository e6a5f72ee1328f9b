"""Media through a forwarder: encryption, network paths, IPv6, the life of a source, and malformed input."""

import contextlib
import random

import pylibsrtp
import pytest

from stagebook.media.port import CloseCause, Closed, Connected, MediaRefusedError, RefusalReason
from stagebook.media.rtc.engine_settings import EngineSettings
from tests.media.rtc.packets import rtp, vp8_delta, vp8_keyframe
from tests.media.rtc.raw_peer import AUDIO_PAYLOAD_TYPE, VIDEO_PAYLOAD_TYPE
from tests.media.rtc.running_engine import SSRC, running_engine, start_video

GCM, CM = b"SRTP_AEAD_AES_128_GCM", b"SRTP_AES128_CM_SHA1_80"


@pytest.mark.parametrize("profile", [GCM, CM])
async def test_media_flows_with_each_srtp_profile(profile: bytes) -> None:
    async with running_engine() as engine:
        publisher = engine.raw_peer(srtp_profiles=profile)
        answer = engine.forwarder.publish(connection_id="p", source_id="source", offer=publisher.offer("sendonly"))
        await publisher.connect(answer.sdp, engine.forwarder.udp_port)
        viewer = await engine.viewer()
        assert (publisher.srtp_profile, viewer.srtp_profile) == (profile, GCM)
        assert (await start_video(engine, publisher, viewer)).payload == vp8_keyframe()


async def test_a_nominated_check_from_a_new_address_changes_the_path() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        await start_video(engine, publisher, viewer)
        viewer.change_address()
        await viewer.check(nominate=False)
        await viewer.check(nominate=True)
        await publisher.send_rtp(rtp(vp8_delta(), sequence=11, ssrc=SSRC))
        assert (await viewer.receive_rtp()).payload == vp8_delta()


async def test_a_check_with_a_wrong_password_does_not_change_the_path() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        await start_video(engine, publisher, viewer)
        attacker = engine.raw_peer()
        attacker.server_ufrag, attacker.ufrag = viewer.server_ufrag, viewer.ufrag
        attacker._engine = viewer._engine
        await attacker.send_datagram(attacker.check_message(password="x" * 24))
        await viewer.check()
        await publisher.send_rtp(rtp(vp8_delta(), sequence=11, ssrc=SSRC))
        assert (await viewer.receive_rtp()).payload == vp8_delta()
        with pytest.raises(BlockingIOError):
            attacker.socket.recv(2048)


async def test_a_source_is_unknown_before_its_first_publisher() -> None:
    async with running_engine() as engine:
        with pytest.raises(MediaRefusedError) as refused:
            await engine.viewer()
        assert refused.value.reason is RefusalReason.UNKNOWN_SOURCE


async def test_a_source_outlives_its_publisher_and_continues_with_the_next_one() -> None:
    async with running_engine() as engine:
        first, viewer = await engine.publisher("p1"), await engine.viewer()
        before = await start_video(engine, first, viewer)
        await first.send_close_notify()
        await engine.wait_for(Closed(connection_id="p1", cause=CloseCause.PEER_CLOSED))
        second = await engine.publisher("p2")
        await engine.wait_for(Connected(connection_id="p2"))
        await second.send_rtp(rtp(vp8_keyframe(), sequence=1, ssrc=SSRC))
        after = await viewer.receive_rtp()
        assert after.sequence == (before.sequence + 1) & 0xFFFF


async def test_media_flows_over_ipv6() -> None:
    async with running_engine(EngineSettings(bind_addresses=("127.0.0.1", "::1"))) as engine:
        publisher, viewer = engine.raw_peer("::1"), engine.raw_peer("::1")
        port = engine.forwarder.udp_port
        offer = publisher.offer("sendonly")
        answer = engine.forwarder.publish(connection_id="p", source_id="source", offer=offer)
        assert f"127.0.0.1 {port} typ host" in answer.sdp
        assert f"::1 {port} typ host" in answer.sdp
        await publisher.connect(answer.sdp, port)
        offer = viewer.offer("recvonly")
        answer = engine.forwarder.subscribe(connection_id="v", source_id="source", offer=offer)
        await viewer.connect(answer.sdp, port)
        assert (await start_video(engine, publisher, viewer)).payload == vp8_keyframe()


async def test_malformed_datagrams_do_not_disturb_the_media() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        await start_video(engine, publisher, viewer)
        randomness = random.Random(7)
        attacker = engine.raw_peer()
        attacker._engine = viewer._engine
        check = publisher.check_message()
        for _ in range(300):
            noise, noise_flags = randomness.randbytes(randomness.randrange(0, 200)), randomness.randrange(64)
            await attacker.send_datagram(noise)
            for first in (0, 1, 22, 23, 128, 144):
                await publisher.send_datagram(bytes([first]) + noise)
            cut = bytearray(check)
            cut[randomness.randrange(len(cut))] ^= 1 << randomness.randrange(8)
            await attacker.send_datagram(bytes(cut))
            # A peer can encrypt malformed packets as well.
            with contextlib.suppress(pylibsrtp.Error):
                # libsrtp refuses to encrypt some of these.
                ssrc = randomness.getrandbits(3)
                await publisher.send_rtp(rtp(noise, sequence=randomness.getrandbits(16), ssrc=ssrc))
                await publisher.send_rtp(bytes([0x80 | noise_flags]) + noise.ljust(40, b"\1"))
            await viewer.send_rtcp(bytes([0x81, 200 + randomness.randrange(10)]) + noise.ljust(12, b"\0"))
        await publisher.send_rtp(
            rtp(vp8_keyframe(640, 360), sequence=1, ssrc=SSRC + 1, payload_type=VIDEO_PAYLOAD_TYPE)
        )
        await publisher.send_rtp(rtp(b"audio", sequence=1, ssrc=SSRC + 2, payload_type=AUDIO_PAYLOAD_TYPE))
        while (await viewer.receive_rtp()).payload != b"audio":
            pass
        assert not any(isinstance(fact, Closed) for fact in engine.facts)
