"""The limits of a connection: what cannot be set."""

import pytest

from stagebook.media.rtmp.rtmp_limits import RtmpLimits


@pytest.mark.parametrize("name", RtmpLimits.__struct_fields__)
def test_every_limit_is_at_least_1(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: at least 1"):
        RtmpLimits(**{name: 0})


@pytest.mark.parametrize("name", ["max_message_bytes", "max_command_bytes"])
def test_no_message_can_be_longer_than_its_header_can_say(name: str) -> None:
    with pytest.raises(ValueError, match="at most 16777215"):
        RtmpLimits(**{name: 2**24, "max_incomplete_bytes": 2**25})


@pytest.mark.parametrize("name", ["max_message_bytes", "max_command_bytes"])
def test_a_message_that_may_come_may_also_be_incomplete(name: str) -> None:
    with pytest.raises(ValueError, match="max_incomplete_bytes: at least"):
        RtmpLimits(**{"max_message_bytes": 10, "max_command_bytes": 10, "max_incomplete_bytes": 999, name: 1000})
