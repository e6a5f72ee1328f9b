"""Simulcast layers as LiveKit has them."""

import pytest
from livekit.protocol import models

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.livekit.signalling.layer_settings import layer_messages, video_layers
from stagebook.media.port import LayerChoice, LayerMode, MediaRefusedError, RefusalReason

LAYERS = [
    models.VideoLayer(rid="f", quality=models.VideoQuality.HIGH, spatial_layer=2, width=1_280, height=720),
    models.VideoLayer(rid="q", quality=models.VideoQuality.LOW, spatial_layer=0),
]
SIMULCAST = models.TrackInfo(sid="video", codecs=[models.SimulcastCodecInfo(layers=LAYERS)])
TRACKS = {MediaKind.AUDIO: models.TrackInfo(sid="audio"), MediaKind.VIDEO: SIMULCAST}


def test_layers_are_shown_the_lowest_first_with_the_best_one_selected() -> None:
    shown = video_layers(SIMULCAST, chosen=None)
    assert [(layer.encoding_id, layer.width, layer.is_selected) for layer in shown] == [
        ("q", 0, False),
        ("f", 1_280, True),
    ]
    assert [layer.is_selected for layer in video_layers(SIMULCAST, chosen="q")] == [True, False]


def test_a_track_without_simulcast_has_no_layers() -> None:
    assert video_layers(models.TrackInfo(layers=[models.VideoLayer(rid="")]), chosen=None) == ()


@pytest.mark.parametrize(
    ("choice", "settings"),
    [
        (LayerChoice(), {"audio": (False, models.VideoQuality.HIGH), "video": (False, models.VideoQuality.HIGH)}),
        (
            LayerChoice.exactly("q"),
            {"audio": (False, models.VideoQuality.LOW), "video": (False, models.VideoQuality.LOW)},
        ),
        (
            LayerChoice(mode=LayerMode.AUDIO_ONLY),
            {"audio": (False, models.VideoQuality.HIGH), "video": (True, models.VideoQuality.HIGH)},
        ),
        (
            LayerChoice(mode=LayerMode.PAUSED),
            {"audio": (True, models.VideoQuality.HIGH), "video": (True, models.VideoQuality.HIGH)},
        ),
    ],
)
def test_a_choice_is_told_for_each_track(choice: LayerChoice, settings: dict[str, tuple[bool, int]]) -> None:
    told = [message.track_setting for message in layer_messages(choice, TRACKS)]
    assert {each.track_sids[0]: (each.disabled, each.quality) for each in told} == settings


@pytest.mark.parametrize("tracks", [TRACKS, {MediaKind.AUDIO: TRACKS[MediaKind.AUDIO]}])
def test_an_unknown_layer_is_refused(tracks: dict[MediaKind, models.TrackInfo]) -> None:
    with pytest.raises(MediaRefusedError) as caught:
        layer_messages(LayerChoice.exactly("x"), tracks)
    assert caught.value.reason is RefusalReason.UNKNOWN_LAYER
