"""The tests of other folders that fail with LiveKit as the media engine, with the reasons.

docs/livekit.md tells users the same. A test that is named here and passes fails the run: the list is then too long.
"""

from typing import Final

_REPLACED: Final = (
    "LiveKit's new publisher has new tracks, which viewers with one answer cannot be sent: SOURCE_CHANGED"
)
_DISCONNECTED: Final = "LiveKit ends a viewer without a fatal alert: a browser shows disconnected before failed"
_LIMITS: Final = "tests/e2e/participants/test_limits.py"
_REPLICATION: Final = "tests/e2e/participants/test_replication.py"
_ONE_KIND: Final = "tests/e2e/participants/test_one_kind.py"
_LIFETIMES: Final = "tests/e2e/browser/test_lifetimes.py"
_LAYERS: Final = "tests/e2e/browser/test_layers.py"

DEVIATIONS: Final[dict[str, str]] = {
    f"{_LIMITS}::test_a_publication_above_a_quota_is_ended"
    "[publish_bitrate_bps=20000,publish_bitrate_window_seconds=1-BITRATE_EXCEEDED]": "LiveKit tells no bitrate",
    f"{_LIMITS}::test_a_publication_with_b_frames_is_ended": "LiveKit does not tell whether there are B-frames",
    f"{_LIMITS}::test_the_death_of_an_engine_process_is_an_internal_error_and_a_new_one_starts": "there is no engine "
    "process; test_livekit_stages kills a node",
    "tests/e2e/participants/test_publish_and_watch.py::test_a_replacement_connection_keeps_the_viewers": _REPLACED,
    f"{_REPLICATION}::test_a_replacement_connection_keeps_the_viewers_of_the_replica": _REPLACED,
    f"{_ONE_KIND}::test_audio_alone_is_published_and_video_may_follow": _REPLACED,
    f"{_ONE_KIND}::test_video_alone_is_published_and_a_viewer_stays_when_audio_alone_follows": _REPLACED,
    f"{_LIFETIMES}::test_closing_the_peer_connection_ends_the_participation": _DISCONNECTED,
    f"{_LAYERS}::test_a_viewer_chooses_its_layer": "LiveKit does not tell the sizes of layers",
}
"""By the node id of the test, with or without its parameters."""
