"""Which engine gets which source: pinned, balanced, and forgotten when it ends."""

from stagebook.media.rtc.engine.source_placement import SourcePlacement

ENGINES = (0, 1, 2)


def placed(placement: SourcePlacement, source_id: str, *, viewers: int = 0) -> int | None:
    """Establish a source with its viewers; its engine."""
    engine = placement.place_publisher(f"{source_id}-publisher", source_id, ENGINES)
    placement.establish(source_id)
    for number in range(viewers):
        assert placement.place_viewer(f"{source_id}-viewer-{number}", source_id) == engine
    return engine


def test_a_new_source_goes_to_the_engine_with_the_fewest_connections() -> None:
    placement = SourcePlacement()
    assert placed(placement, "a", viewers=2) == 0
    assert placed(placement, "b") == 1
    assert placed(placement, "c") == 2
    assert placed(placement, "d") == 1


def test_only_running_engines_are_given_new_sources() -> None:
    placement = SourcePlacement()
    assert placement.place_publisher("c", "s", [2]) == 2
    assert placement.place_publisher("d", "t", []) is None


def test_a_source_stays_where_it_is() -> None:
    placement = SourcePlacement()
    engine = placed(placement, "a", viewers=5)
    assert placement.place_publisher("again", "a", [1, 2]) == engine


def test_a_viewer_of_no_source_has_no_engine() -> None:
    assert SourcePlacement().place_viewer("v", "nowhere") is None


def test_a_removed_connection_makes_room() -> None:
    placement = SourcePlacement()
    placed(placement, "a", viewers=1)
    assert placement.remove("a-viewer-0")
    assert placement.engine_of("a-viewer-0") is None
    assert not placement.remove("a-viewer-0")
    placed(placement, "b", viewers=1)
    placed(placement, "c", viewers=1)
    assert placed(placement, "d") == 0


def test_a_source_stays_without_its_publisher_once_it_was_established() -> None:
    placement = SourcePlacement()
    engine = placed(placement, "a")
    placement.remove("a-publisher")
    assert placement.place_viewer("v", "a") == engine


def test_a_source_whose_publisher_was_refused_never_was() -> None:
    placement = SourcePlacement()
    placement.place_publisher("p", "a", ENGINES)
    placement.remove("p")
    assert placement.place_viewer("v", "a") is None


def test_a_refused_take_over_leaves_the_source() -> None:
    placement = SourcePlacement()
    placed(placement, "a")
    placement.place_publisher("again", "a", ENGINES)
    placement.remove("again")
    assert placement.engine_of("a-publisher") == 0


def test_a_publisher_that_connects_replaces_the_older_ones() -> None:
    placement = SourcePlacement()
    placed(placement, "a", viewers=1)
    placement.place_publisher("again", "a", ENGINES)
    placement.connect("a-publisher")
    assert placement.engine_of("a-publisher") == 0
    placement.connect("again")
    assert placement.engine_of("a-publisher") is None
    placement.connect("a-viewer-0")
    assert placement.engine_of("again") == 0


def test_an_ended_source_takes_its_connections_along() -> None:
    placement = SourcePlacement()
    engine = placed(placement, "a", viewers=2)
    assert placement.end_source("a") == engine
    assert placement.end_source("a") is None
    assert placement.engine_of("a-viewer-1") is None
    assert placed(placement, "b") == 0


def test_a_lost_engine_takes_its_sources_along_and_no_others() -> None:
    placement = SourcePlacement()
    placed(placement, "a", viewers=2)
    placed(placement, "b")
    assert list(placement.lose_engine(0)) == ["a-viewer-0", "a-viewer-1", "a-publisher"]
    assert placement.place_viewer("v", "a") is None
    assert placement.place_viewer("w", "b") == 1
    assert placement.lose_engine(0) == {}


def test_what_is_unknown_is_ignored() -> None:
    placement = SourcePlacement()
    placement.establish("nowhere")
    placement.connect("nobody")
    assert not placement.remove("nobody")


def test_redundant_publishers_stay_side_by_side() -> None:
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
