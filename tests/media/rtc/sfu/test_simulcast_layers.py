"""Which layer of a track is the best one."""

from stagebook.media.rtc.sfu.simulcast_layers import SILENCE_SECONDS, Layer, best_layer


def layer(ssrc: int, *, pixels: int = 0, bitrate_bps: int = 0, at: float = 0.0) -> Layer:
    """A layer that sent last at `at`."""
    made = Layer(ssrc=ssrc, clock_rate=90_000, rid=None, now=at)
    made.pixels, made.bitrate_bps = pixels, bitrate_bps
    return made


def test_without_layers_there_is_no_best_one() -> None:
    assert best_layer([], current=None) is None


def test_most_pixels_win_whatever_the_rate() -> None:
    small, large = layer(1, pixels=100, bitrate_bps=900), layer(2, pixels=200, bitrate_bps=100)
    assert best_layer([small, large], current=small) is large


def test_among_equal_sizes_the_higher_rate_wins_only_clearly() -> None:
    current, other = layer(1, pixels=100, bitrate_bps=100), layer(2, pixels=100, bitrate_bps=110)
    assert best_layer([current, other], current=current) is current
    other.bitrate_bps = 200
    assert best_layer([current, other], current=current) is other


def test_a_layer_that_falls_silent_while_another_sends_is_out() -> None:
    large, small = layer(1, pixels=200), layer(2, pixels=100, at=SILENCE_SECONDS)
    assert best_layer([large, small], current=large) is small


def test_when_all_pause_nothing_changes() -> None:
    large, small = layer(1, pixels=200, at=1.0), layer(2, pixels=100, at=1.1)
    assert best_layer([large, small], current=large) is large


def test_the_rate_is_that_of_the_interval() -> None:
    measured = layer(1)
    measured.octets = 1000
    assert measured.take_rate(2.0) == 4000
    assert measured.take_rate(1.0) == 0
