"""Picture ids and TL0PICIDX across streams, with frames left out, in both forms of the picture id."""

import pytest

from stagebook.media.codecs.vp8_descriptor import parse_descriptor
from stagebook.media.rtc.sfu.simulcast.picture_numbers import PictureNumbers
from tests.media.rtc.packets import vp8_delta, vp8_descriptor


class Numbered:
    """Sends frames through PictureNumbers."""

    def __init__(self, *, is_long: bool) -> None:
        self.numbers = PictureNumbers()
        self._is_long = is_long

    def send(self, picture_id: int, tl0: int, *, temporal_id: int = 0) -> tuple[int | None, int | None]:
        """The numbers of a frame behind the rewriting."""
        payload = self.payload(picture_id, tl0, temporal_id)
        after = parse_descriptor(self.numbers.rewrite(payload, parse_descriptor(payload)))
        assert after is not None
        return after.picture_id, after.tl0

    def leave_out(self, picture_id: int, tl0: int) -> None:
        """Leave out a frame."""
        descriptor = parse_descriptor(self.payload(picture_id, tl0, 1))
        assert descriptor is not None
        self.numbers.leave_out(descriptor)

    def payload(self, picture_id: int, tl0: int, temporal_id: int) -> bytes:
        """The first packet of a frame."""
        descriptor = vp8_descriptor(
            picture_id=picture_id, tl0=tl0, temporal_id=temporal_id, is_sync=False, is_long=self._is_long
        )
        return descriptor + vp8_delta()[1:]


@pytest.mark.parametrize(("is_long", "wrap"), [(True, 0x8000), (False, 0x80)])
def test_the_numbers_continue_across_streams_and_over_a_wrap(*, is_long: bool, wrap: int) -> None:
    stream = Numbered(is_long=is_long)
    assert stream.send(wrap - 2, 254) == (wrap - 2, 254)
    stream.numbers.switch()
    assert stream.send(50, 9) == (wrap - 1, 255)
    assert stream.send(51, 10) == (0, 0)
    stream.numbers.switch()
    assert stream.send(wrap - 1, 255) == (1, 1)
    assert stream.send(0, 0) == (2, 2)


@pytest.mark.parametrize("is_long", [True, False])
def test_a_frame_that_is_left_out_takes_no_picture_id(*, is_long: bool) -> None:
    stream = Numbered(is_long=is_long)
    assert stream.send(10, 1) == (10, 1)
    stream.leave_out(11, 1)
    assert stream.send(12, 2) == (11, 2)
    # 13 is lost, and comes late.
    assert stream.send(14, 4) == (13, 4)
    assert stream.send(13, 3) == (12, 3)


def test_a_stream_with_the_other_form_continues() -> None:
    stream = Numbered(is_long=True)
    stream.send(0x0105, 7)
    stream.numbers.switch()
    stream._is_long = False
    assert stream.send(90, 200) == (6, 8)


def test_a_stream_without_numbers_is_not_changed() -> None:
    numbers, payload = PictureNumbers(), vp8_delta()
    assert numbers.rewrite(payload, parse_descriptor(payload)) == payload
    assert numbers.newest == (-1, -1)
