"""The requests to an engine about a composition, made from its rows in the book."""

from collections.abc import Mapping
from typing import Any

from stagebook.media.composition.composition_port import (
    BucketOutput,
    CanvasSettings,
    ChannelOutput,
    CompositionRequest,
    Output,
)
from stagebook.media.composition.layout.layout_settings import (
    GridLayout,
    Layout,
    PipBehavior,
    PipLayout,
    PipPosition,
    VideoAspectRatio,
    VideoFillMode,
)
from stagebook.media.recording.recording_port import ThumbnailSettings
from stagebook.stage.composition.composition import Composition, CompositionDestination
from stagebook.stage.composition.composition_input import encoder_configuration_arn
from stagebook.stage.resources import EncoderConfiguration


def composition_request(
    composition: Composition,
    *,
    encoders: Mapping[str, EncoderConfiguration],
    bucket_names: Mapping[str, str],
    channel_urls: Mapping[str, str],
) -> CompositionRequest:
    """Return the request for the destinations of a composition that have not ended.

    `encoders` are its encoder configurations, `bucket_names` has the bucket of each storage configuration, and
    `channel_urls` the URL of each channel, all by ARN.
    """
    outputs = tuple(
        _output(each, encoders=encoders, bucket_names=bucket_names, channel_urls=channel_urls)
        for each in composition.destinations
        if not each.state.is_final
    )
    return CompositionRequest(
        composition_id=composition.composition_id,
        composition_arn=composition.arn,
        stage_arn=composition.stage_arn,
        started_ms=composition.start_ms,
        layout=layout_settings(composition.layout),
        outputs=outputs,
    )


def _canvas(encoder: EncoderConfiguration | None) -> CanvasSettings:
    video = encoder or EncoderConfiguration(arn="", account_id="", created_ms=0)
    return CanvasSettings(
        width=video.width, height=video.height, frames_per_second=video.framerate, bitrate_bps=video.bitrate_bps
    )


def _output(
    destination: CompositionDestination,
    *,
    encoders: Mapping[str, EncoderConfiguration],
    bucket_names: Mapping[str, str],
    channel_urls: Mapping[str, str],
) -> Output:
    encoder_arn = encoder_configuration_arn(destination.configuration)
    # A channel may name no encoder configuration: it has the defaults of the model then.
    canvas = _canvas(None if encoder_arn is None else encoders[encoder_arn])
    if destination.channel_arn is not None:
        return ChannelOutput(
            destination_id=destination.destination_id, canvas=canvas, url=channel_urls[destination.channel_arn]
        )
    s3 = destination.configuration["s3"]
    thumbnails = s3.get("thumbnailConfigurations")
    return BucketOutput(
        destination_id=destination.destination_id,
        canvas=canvas,
        bucket_name=bucket_names[s3["storageConfigurationArn"]],
        prefix=destination.recording_prefix or "",
        segment_seconds=s3["recordingConfiguration"]["hlsConfiguration"]["targetSegmentDurationSeconds"],
        thumbnails=_thumbnails(thumbnails[0]) if thumbnails else None,
    )


def _thumbnails(configuration: Mapping[str, Any]) -> ThumbnailSettings:
    return ThumbnailSettings(
        interval_seconds=configuration["targetIntervalSeconds"],
        is_sequential="SEQUENTIAL" in configuration["storage"],
        is_latest="LATEST" in configuration["storage"],
    )


def layout_settings(layout: Mapping[str, Any]) -> Layout:
    """Return the settings of a layout that has every default (`composition_input.complete_layout`)."""
    if "grid" in layout:
        grid = layout["grid"]
        return GridLayout(
            featured_participant_attribute=grid["featuredParticipantAttribute"],
            omits_stopped_video=grid["omitStoppedVideo"],
            video_aspect_ratio=VideoAspectRatio(grid["videoAspectRatio"]),
            video_fill_mode=VideoFillMode(grid["videoFillMode"]) if grid["videoFillMode"] else None,
            grid_gap_pixels=grid["gridGap"],
            participant_order_attribute=grid["participantOrderAttribute"],
        )
    pip = layout["pip"]
    return PipLayout(
        featured_participant_attribute=pip["featuredParticipantAttribute"],
        omits_stopped_video=pip["omitStoppedVideo"],
        video_fill_mode=VideoFillMode(pip["videoFillMode"]),
        grid_gap_pixels=pip["gridGap"],
        pip_participant_attribute=pip["pipParticipantAttribute"],
        pip_behavior=PipBehavior(pip["pipBehavior"]),
        pip_position=PipPosition(pip["pipPosition"]),
        pip_offset_pixels=pip["pipOffset"],
        pip_width_pixels=pip.get("pipWidth"),
        pip_height_pixels=pip.get("pipHeight"),
        participant_order_attribute=pip["participantOrderAttribute"],
    )
