"""The choice of the best layer of a track."""

from stagebook.media.rtc.sfu.simulcast.simulcast_layers import (
    SILENCE_SECONDS,
    Layer,
    SteadyValue,
    best_layer,
    chosen_layer,
    lowest_layer,
)


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


def test_a_shown_value_changes_only_when_its_average_has_clearly_changed() -> None:
    value = SteadyValue()
    shown = []
    for measured in (1000, 700, 1400, 900, 1100, *[2000] * 20):
        value.add(measured)
        shown.append(value.shown)
    assert shown[:5] == [1000] * 5
    assert 1600 < shown[-1] <= 2000
    assert len(set(shown)) <= 4


def test_a_shown_value_falls_to_zero() -> None:
    value = SteadyValue()
    for measured in (1000, *[0] * 40):
        value.add(measured)
    assert value.shown == 0


def named(encoding_id: str | None, *, pixels: int, at: float = 0.0) -> Layer:
    """A layer with a name."""
    result = layer(len(encoding_id or ""), pixels=pixels, at=at)
    result.encoding_id = encoding_id
    return result


def test_the_chosen_layer_is_that_with_the_encoding_id() -> None:
    layers = [named("a", pixels=100), named("b", pixels=200)]
    assert chosen_layer(layers, "a", pixels=0, current=None) is layers[0]


def test_instead_of_a_silent_layer_the_best_of_those_that_are_not_larger_is_chosen() -> None:
    layers = [named("a", pixels=100, at=5.0), named("b", pixels=200, at=5.0), named("d", pixels=400, at=5.0)]
    silent = named("c", pixels=300)
    assert chosen_layer([*layers, silent], "c", pixels=300, current=None) is layers[1]
    assert chosen_layer(layers, "c", pixels=50, current=None) is layers[0]
    assert chosen_layer(layers, "c", pixels=0, current=None) is layers[2]
    assert chosen_layer([], "c", pixels=0, current=None) is None


def test_the_lowest_layer_is_the_smallest_of_known_size() -> None:
    layers = [named("a", pixels=0), named("b", pixels=200), named("c", pixels=100)]
    assert lowest_layer(layers) is layers[2]
    assert lowest_layer(layers[:1]) is None
