"""The placement of sources on engines: balanced, fixed for a source, removed with its end."""

from stagebook.media.rtc.engine.source_placement import Relay, SourcePlacement

ENGINES = (0, 1, 2)


def place(placement: SourcePlacement, source_id: str, *, viewers: int = 0) -> int | None:
    """Place a source with a publisher and viewers. Returns its engine."""
    engine = placement.place_publisher(f"{source_id}-publisher", source_id, ENGINES)
    placement.establish(source_id)
    for number in range(viewers):
        assert placement.place_viewer(f"{source_id}-viewer-{number}", source_id, ENGINES) == engine
    return engine


def test_a_new_source_goes_to_the_engine_with_the_fewest_connections() -> None:
    placement = SourcePlacement()
    assert place(placement, "a", viewers=2) == 0
    assert place(placement, "b") == 1
    assert place(placement, "c") == 2
    assert place(placement, "d") == 1


def test_new_sources_are_placed_on_running_engines_only() -> None:
    placement = SourcePlacement()
    assert placement.place_publisher("c", "s", [2]) == 2
    assert placement.place_publisher("d", "t", []) is None


def test_a_source_stays_on_its_engine() -> None:
    placement = SourcePlacement()
    engine = place(placement, "a", viewers=5)
    assert placement.place_publisher("again", "a", [1, 2]) == engine


def test_a_viewer_of_an_unknown_source_is_not_placed() -> None:
    assert SourcePlacement().place_viewer("v", "unknown", ENGINES) is None


def test_a_removed_connection_lowers_the_load() -> None:
    placement = SourcePlacement()
    place(placement, "a", viewers=1)
    assert placement.remove("a-viewer-0")
    assert placement.engine_of("a-viewer-0") is None
    assert not placement.remove("a-viewer-0")
    place(placement, "b", viewers=1)
    place(placement, "c", viewers=1)
    assert place(placement, "d") == 0


def test_an_established_source_stays_without_a_publisher() -> None:
    placement = SourcePlacement()
    engine = place(placement, "a")
    placement.remove("a-publisher")
    assert placement.place_viewer("v", "a", ENGINES) == engine


def test_a_source_whose_only_publisher_was_refused_is_removed() -> None:
    placement = SourcePlacement()
    placement.place_publisher("p", "a", ENGINES)
    placement.remove("p")
    assert placement.place_viewer("v", "a", ENGINES) is None


def test_a_source_stays_when_a_newer_publisher_is_refused() -> None:
    placement = SourcePlacement()
    place(placement, "a")
    placement.place_publisher("again", "a", ENGINES)
    placement.remove("again")
    assert placement.engine_of("a-publisher") == 0


def test_a_publisher_that_connects_replaces_the_older_ones() -> None:
    placement = SourcePlacement()
    place(placement, "a", viewers=1)
    placement.place_publisher("again", "a", ENGINES)
    placement.connect("a-publisher")
    assert placement.engine_of("a-publisher") == 0
    placement.connect("again")
    assert placement.engine_of("a-publisher") is None
    placement.connect("a-viewer-0")
    assert placement.engine_of("again") == 0


def test_the_connections_of_an_ended_source_are_removed() -> None:
    placement = SourcePlacement()
    engine = place(placement, "a", viewers=2)
    assert placement.end_source("a") == [engine]
    assert placement.end_source("a") == []
    assert placement.engine_of("a-viewer-1") is None
    assert place(placement, "b") == 0


def test_the_sources_of_a_lost_engine_are_removed_and_no_others() -> None:
    placement = SourcePlacement()
    place(placement, "a", viewers=2)
    place(placement, "b")
    assert list(placement.lose_engine(0)) == ["a-viewer-0", "a-viewer-1", "a-publisher"]
    assert placement.place_viewer("v", "a", ENGINES) is None
    assert placement.place_viewer("w", "b", ENGINES) == 1
    assert placement.lose_engine(0) == {}


def test_unknown_ids_are_ignored() -> None:
    placement = SourcePlacement()
    placement.establish("unknown")
    placement.connect("unknown")
    assert not placement.remove("unknown")


def test_redundant_publishers_do_not_replace_each_other() -> None:
    placement = SourcePlacement()
    for connection_id in ("one", "two"):
        assert placement.place_publisher(connection_id, "s", ENGINES, is_redundant=True) == 0
        placement.establish("s")
        placement.connect(connection_id)
    assert [placement.engine_of(connection_id) for connection_id in ("one", "two")] == [0, 0]
    assert placement.remove("one")
    placement.place_publisher("three", "s", ENGINES)
    placement.connect("three")
    assert placement.engine_of("two") is None


# Relays


def place_viewers(placement: SourcePlacement, count: int, *, first: int = 0) -> list[int | None]:
    """Place viewers of the source `a`. Returns their engines."""
    return [placement.place_viewer(f"v{number}", "a", ENGINES) for number in range(first, first + count)]


def test_viewers_go_to_another_engine_when_the_source_s_own_has_the_margin_more() -> None:
    placement = SourcePlacement(relay_margin=3)
    place(placement, "a")
    assert place_viewers(placement, 2) == [0, 0]
    assert place_viewers(placement, 3, first=2) == [1, 1, 1]


def test_a_source_grows_over_all_engines_evenly() -> None:
    placement = SourcePlacement(relay_margin=3)
    place(placement, "a")
    engines = place_viewers(placement, 299)
    assert [engines.count(number) for number in ENGINES] == [99, 100, 100]


def test_a_source_without_an_accepted_publisher_is_not_relayed() -> None:
    placement = SourcePlacement(relay_margin=1)
    placement.place_publisher("p", "a", ENGINES)
    assert place_viewers(placement, 3) == [0, 0, 0]


def test_a_relay_is_unused_once_its_last_viewer_has_left() -> None:
    placement = SourcePlacement(relay_margin=1)
    place(placement, "a")
    assert place_viewers(placement, 2) == [1, 2]
    placement.remove("v0")
    assert placement.take_unused_relays() == [Relay("a", 1)]
    assert placement.take_unused_relays() == []
    assert placement.place_viewer("again", "a", ENGINES) == 1


def test_a_viewer_whose_relay_failed_is_placed_at_the_source() -> None:
    placement = SourcePlacement(relay_margin=1)
    place(placement, "a")
    assert place_viewers(placement, 1) == [1]
    placement.remove("v0")
    assert placement.place_at_source("v0", "a") == 0
    assert placement.engine_of("v0") == 0
    assert placement.place_at_source("v0", "unknown") is None


def test_the_end_of_a_source_names_the_engines_that_it_is_relayed_to() -> None:
    placement = SourcePlacement(relay_margin=1)
    place(placement, "a")
    place_viewers(placement, 2)
    assert placement.end_source("a") == [0, 1, 2]
    assert place(placement, "b") == 0


def test_a_lost_engine_takes_the_viewers_that_it_had_and_no_others() -> None:
    placement = SourcePlacement(relay_margin=1)
    place(placement, "a")
    place_viewers(placement, 2)
    assert placement.lose_engine(1) == {"v0": "a"}
    assert placement.take_unused_relays() == []
    assert placement.engine_of("v1") == 2
    assert placement.engine_of("a-publisher") == 0


def test_a_lost_source_is_lost_for_its_viewers_on_other_engines() -> None:
    placement = SourcePlacement(relay_margin=1)
    place(placement, "a")
    place_viewers(placement, 2)
    assert list(placement.lose_engine(0)) == ["v0", "v1", "a-publisher"]
    assert placement.take_unused_relays() == [Relay("a", 1), Relay("a", 2)]
    assert [place(placement, name) for name in "bcd"] == [0, 1, 2]
