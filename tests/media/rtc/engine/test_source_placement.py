"""The placement of sources on engines: balanced, fixed for a source, removed with its end."""

from stagebook.media.rtc.engine.source_placement import SourcePlacement

ENGINES = (0, 1, 2)


def place(placement: SourcePlacement, source_id: str, *, viewers: int = 0) -> int | None:
    """Place a source with a publisher and viewers. Returns its engine."""
    engine = placement.place_publisher(f"{source_id}-publisher", source_id, ENGINES)
    placement.establish(source_id)
    for number in range(viewers):
        assert placement.place_viewer(f"{source_id}-viewer-{number}", source_id) == engine
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
    assert SourcePlacement().place_viewer("v", "unknown") is None


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
    assert placement.place_viewer("v", "a") == engine


def test_a_source_whose_only_publisher_was_refused_is_removed() -> None:
    placement = SourcePlacement()
    placement.place_publisher("p", "a", ENGINES)
    placement.remove("p")
    assert placement.place_viewer("v", "a") is None


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
    assert placement.end_source("a") == engine
    assert placement.end_source("a") is None
    assert placement.engine_of("a-viewer-1") is None
    assert place(placement, "b") == 0


def test_the_sources_of_a_lost_engine_are_removed_and_no_others() -> None:
    placement = SourcePlacement()
    place(placement, "a", viewers=2)
    place(placement, "b")
    assert list(placement.lose_engine(0)) == ["a-viewer-0", "a-viewer-1", "a-publisher"]
    assert placement.place_viewer("v", "a") is None
    assert placement.place_viewer("w", "b") == 1
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
