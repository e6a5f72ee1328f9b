"""The choice of the best layer of a track."""

from stagebook.media.rtc.sfu.simulcast.simulcast_layers import SILENCE_SECONDS, Layer, best_layer


def layer(ssrc: int, *, pixels: int = 0, bitrate_bps: int = 0, at: float = 0.0) -> Layer:
    """A layer whose last packet arrived at `at`."""
    result = Layer(ssrc=ssrc, clock_rate=90_000, rid=None, now=at)
    result.size, result.bitrate_bps = (pixels, 1), bitrate_bps
    return result


def test_without_layers_there_is_no_best_layer() -> None:
    assert best_layer([], current=None) is None


def test_the_layer_with_the_most_pixels_is_best_whatever_its_bitrate() -> None:
    small, large = layer(1, pixels=100, bitrate_bps=900), layer(2, pixels=200, bitrate_bps=100)
    assert best_layer([small, large], current=small) is large


def test_of_two_equal_sizes_only_a_clearly_higher_bitrate_is_better() -> None:
    current, other = layer(1, pixels=100, bitrate_bps=100), layer(2, pixels=100, bitrate_bps=110)
    assert best_layer([current, other], current=current) is current
    other.bitrate_bps = 200
    assert best_layer([current, other], current=current) is other


def test_a_layer_that_is_silent_while_another_sends_is_not_chosen() -> None:
    large, small = layer(1, pixels=200), layer(2, pixels=100, at=SILENCE_SECONDS)
    assert best_layer([large, small], current=large) is small


def test_the_choice_stays_when_all_layers_pause() -> None:
    large, small = layer(1, pixels=200, at=1.0), layer(2, pixels=100, at=1.1)
    assert best_layer([large, small], current=large) is large


def test_the_bitrate_is_that_of_the_last_interval() -> None:
    measured = layer(1)
    measured.octets = 1000
    assert measured.take_rate(2.0) == 4000
    assert measured.take_rate(1.0) == 0
