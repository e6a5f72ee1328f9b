"""The defaults of StartComposition's input, and the rules that the service model does not state."""

from typing import Any

import pytest

from stagebook.stage.composition.composition_input import complete_destinations, complete_layout
from stagebook.stage.errors import InvalidInputError

ENCODER = "arn:aws:ivs:us-west-2:123456789012:encoder-configuration/a"
BUCKET: dict[str, Any] = {
    "storageConfigurationArn": "arn:aws:ivs:us-west-2:123456789012:storage-configuration/a",
    "encoderConfigurationArns": [ENCODER],
}
CHANNEL = {"channelArn": "arn:aws:ivs:us-west-2:123456789012:channel/a"}


def thumbnails_of(configuration: dict[str, Any]) -> dict[str, Any]:
    """Return a thumbnail configuration with its defaults."""
    (completed,) = complete_destinations([{"s3": {**BUCKET, "thumbnailConfigurations": [configuration]}}])
    thumbnails: dict[str, Any] = completed["s3"]["thumbnailConfigurations"][0]
    return thumbnails


def test_a_bucket_has_the_documented_defaults() -> None:
    assert complete_destinations([{"s3": BUCKET}]) == [
        {
            "name": "",
            "s3": {
                **BUCKET,
                "recordingConfiguration": {"format": "HLS", "hlsConfiguration": {"targetSegmentDurationSeconds": 2}},
            },
        }
    ]


@pytest.mark.parametrize("given", [{}, {"storage": []}])
def test_thumbnails_without_a_storage_are_sequential(given: dict[str, Any]) -> None:
    assert thumbnails_of(given) == {"targetIntervalSeconds": 60, "storage": ["SEQUENTIAL"]}
    assert thumbnails_of({"storage": ["LATEST"], "targetIntervalSeconds": 5})["storage"] == ["LATEST"]


def test_a_storage_of_thumbnails_is_named_once() -> None:
    with pytest.raises(InvalidInputError, match=r"destinations\[0\]\.s3\.thumbnailConfigurations\[0\]\.storage"):
        thumbnails_of({"storage": ["LATEST", "LATEST"]})


@pytest.mark.parametrize(
    "destinations", [[{}], [{"s3": BUCKET, "channel": CHANNEL}], [{"s3": BUCKET}] * 2, [{"channel": CHANNEL}] * 2]
)
def test_a_destination_is_of_one_kind_and_each_kind_is_there_once(destinations: list[dict[str, Any]]) -> None:
    assert len(complete_destinations([{"s3": BUCKET}, {"channel": CHANNEL}])) == 2
    with pytest.raises(InvalidInputError, match="destinations"):
        complete_destinations(destinations)


@pytest.mark.parametrize("layout", [{}, {"grid": {}, "pip": {}}])
def test_a_layout_is_a_grid_or_picture_in_picture(layout: dict[str, Any]) -> None:
    assert complete_layout(None) == complete_layout({"grid": {}})
    with pytest.raises(InvalidInputError, match="layout"):
        complete_layout(layout)
