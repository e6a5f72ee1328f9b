"""The header of audio messages: AAC is read, and any other codec is an error that names it."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.codecs.input_fault import InputFaultError
from stagebook.media.ingest.flv.audio_tag import AudioTag, AudioTagType, read_audio_tag
from stagebook.media.port import IngestFault

CONFIGURATION = AudioTag(type=AudioTagType.CONFIGURATION, body=b"data")
FRAME = AudioTag(type=AudioTagType.FRAME, body=b"data")


@pytest.mark.parametrize(
    ("payload", "tag"),
    [
        (b"\xaf\x00data", CONFIGURATION),
        (b"\xaf\x01data", FRAME),
        (b"\xa2\x01data", FRAME),
        (b"\x90mp4adata", CONFIGURATION),
        (b"\x91mp4adata", FRAME),
        (b"\x95\x01mp4a\x00data", FRAME),
        (b"\x97\x02abc\x01mp4adata", FRAME),
    ],
)
def test_aac_is_read_from_both_layouts(payload: bytes, tag: AudioTag) -> None:
    assert read_audio_tag(payload) == tag


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xaf\x01", b"\x91mp4a", b"\x92mp4a", b"\x94mp4a\x01\x02\x00\x00\x00\x03", b"\x95\x01Opus\x01data"],
    ids=["no bytes", "empty frame", "empty enhanced frame", "end", "channels", "another track"],
)
def test_a_message_without_audio_is_skipped(payload: bytes) -> None:
    assert read_audio_tag(payload) is None


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (b"\x0fdata", "PCM"),
        (b"\x1fdata", "ADPCM"),
        (b"\x2fdata", "MP3"),
        (b"\x3fdata", "PCM"),
        (b"\x4fdata", "Nellymoser"),
        (b"\x5fdata", "Nellymoser"),
        (b"\x6fdata", "Nellymoser"),
        (b"\x7fdata", "G.711 A-law"),
        (b"\x8fdata", "G.711 mu-law"),
        (b"\xb6data", "Speex"),
        (b"\xcfdata", "the unknown format 12"),
        (b"\xdfdata", "Opus"),
        (b"\xefdata", "MP3"),
        (b"\xffdata", "device-specific"),
        (b"\x90Opusdata", "Opus"),
        (b"\x91ac-3data", "AC-3"),
        (b"\x91ec-3data", "E-AC-3"),
        (b"\x91fLaCdata", "FLAC"),
        (b"\x91.mp3data", "MP3"),
        (b"\x95\x01Opus\x00data", "Opus"),
        (b"\x91abcddata", "the unknown codec abcd"),
    ],
)
def test_another_codec_is_an_error_that_names_it(payload: bytes, name: str) -> None:
    with pytest.raises(InputFaultError, match=f"{name}.*must be AAC-LC") as caught:
        read_audio_tag(payload)
    assert caught.value.fault is IngestFault.AUDIO_CODEC


@pytest.mark.parametrize("payload", [b"\xaf", b"\xaf\x02data", b"\x91mp4", b"\x93mp4adata", b"\x96mp4adata"])
def test_a_broken_header_is_an_input_fault(payload: bytes) -> None:
    with pytest.raises(InputFaultError) as caught:
        read_audio_tag(payload)
    assert caught.value.fault is IngestFault.INPUT


@given(st.binary(max_size=40))
def test_random_bytes_are_read_or_refused(payload: bytes) -> None:
    with suppress(InputFaultError):
        tag = read_audio_tag(payload)
        assert tag is None or tag.type is AudioTagType.CONFIGURATION or tag.body
