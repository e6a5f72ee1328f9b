"""RtmpLimits: invalid combinations."""

import pytest

from stagebook.media.rtmp.rtmp_limits import RtmpLimits


@pytest.mark.parametrize("name", RtmpLimits.__struct_fields__)
def test_every_limit_is_at_least_1(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: at least 1"):
        RtmpLimits(**{name: 0})


@pytest.mark.parametrize("name", ["max_message_bytes", "max_command_bytes"])
def test_a_message_limit_fits_into_the_length_field(name: str) -> None:
    with pytest.raises(ValueError, match="at most 16777215"):
        RtmpLimits(**{name: 2**24, "max_incomplete_bytes": 2**25})


@pytest.mark.parametrize("name", ["max_message_bytes", "max_command_bytes"])
def test_the_longest_message_may_be_incomplete(name: str) -> None:
    with pytest.raises(ValueError, match="max_incomplete_bytes: at least"):
        RtmpLimits(**{"max_message_bytes": 10, "max_command_bytes": 10, "max_incomplete_bytes": 999, name: 1000})
