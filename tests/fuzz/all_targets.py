"""All fuzz targets by name."""

from tests.fuzz.fuzz_target import FuzzTarget
from tests.fuzz.targets import (
    aws_targets,
    event_stream_targets,
    http_connection_targets,
    http_decoder_targets,
    import_targets,
    livekit_targets,
    participant_targets,
    rtmp_targets,
    rtp_targets,
    sdp_targets,
    tap_targets,
    tcp_media_targets,
    watch_targets,
    worker_targets,
)

TARGETS: dict[str, FuzzTarget] = {
    target.name: target
    for module in (
        sdp_targets,
        rtp_targets,
        tcp_media_targets,
        tap_targets,
        rtmp_targets,
        aws_targets,
        participant_targets,
        http_decoder_targets,
        http_connection_targets,
        event_stream_targets,
        import_targets,
        livekit_targets,
        watch_targets,
        worker_targets,
    )
    for target in module.TARGETS
}
