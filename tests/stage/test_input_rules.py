"""Tags, attributes and frame sizes at their limits."""

import pytest

from stagebook.stage.errors import InvalidInputError
from stagebook.stage.input_rules import check_attributes, check_frame_size, check_tags


def test_a_resource_has_at_most_fifty_tags() -> None:
    check_tags({f"key{number}": "" for number in range(50)})
    with pytest.raises(InvalidInputError, match="tags"):
        check_tags({f"key{number}": "" for number in range(51)})


@pytest.mark.parametrize("key", ["aws:", "aws:team", "AWS:team", "Aws:x"])
def test_keys_with_the_prefix_of_aws_are_refused(key: str) -> None:
    with pytest.raises(InvalidInputError, match="tags"):
        check_tags({key: ""})


@pytest.mark.parametrize("key", ["aws", "awsome:team", "my:aws:team"])
def test_other_keys_are_accepted(key: str) -> None:
    check_tags({key: ""})


@pytest.mark.parametrize("attributes", [{"k" * 24: "v" * 1_000}, {"é": "é" * 511}, {}])
def test_attributes_up_to_the_maximum_size_are_accepted(attributes: dict[str, str]) -> None:
    check_attributes(attributes, size_bytes=1_024)


@pytest.mark.parametrize("attributes", [{"k" * 25: "v" * 1_000}, {"é": "é" * 511, "x": ""}])
def test_attributes_above_the_maximum_size_are_refused(attributes: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError, match="attributes"):
        check_attributes(attributes, size_bytes=1_024)


@pytest.mark.parametrize(("width", "height"), [(1_920, 1_080), (1_080, 1_920), (1_440, 1_440), (2, 2), (2, 1_920)])
def test_frame_sizes_within_the_rules_are_accepted(width: int, height: int) -> None:
    check_frame_size(width=width, height=height)


@pytest.mark.parametrize(
    ("width", "height", "member"),
    [
        (1_279, 720, "video.width"),
        (1_280, 721, "video.height"),
        (1_920, 1_082, "video.width"),
        (1_442, 1_440, "video.width"),
        (1_920, 1_920, "video.width"),
    ],
)
def test_other_frame_sizes_are_refused_and_the_member_is_named(width: int, height: int, member: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_frame_size(width=width, height=height)
    assert refused.value.member == member
