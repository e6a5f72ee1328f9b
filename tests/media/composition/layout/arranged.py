"""Participants, layouts and canvases for the tests of the layouts, and strategies that generate them."""

from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st

from stagebook.media.composition.layout.arrangement import arrange
from stagebook.media.composition.layout.layout_settings import (
    GridLayout,
    Layout,
    PipBehavior,
    PipLayout,
    PipPosition,
    VideoAspectRatio,
    VideoFillMode,
)
from stagebook.media.composition.layout.placement import ArrangedParticipant, PictureSize, Placement, Rectangle

EXAMPLES = settings(max_examples=30)
"""The rules hold for thousands of examples; these keep the tests short."""
HD = PictureSize(width=1280, height=720)
PORTRAIT = PictureSize(width=720, height=1280)
CANVASES = st.builds(
    PictureSize,
    width=st.integers(1, 960).map(lambda half: 2 * half),
    height=st.integers(1, 540).map(lambda half: 2 * half),
)
PICTURES = st.none() | st.builds(PictureSize, width=st.integers(1, 4000), height=st.integers(1, 4000))
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["featured", "pip", "order"]),
    st.sampled_from(["true", "True", "false", "", "1", "-7", "10", "1.5", "x"]),
)
GAPS = st.integers(0, 40) | st.sampled_from([500, 10**6])
GRIDS = st.builds(
    GridLayout,
    featured_participant_attribute=st.sampled_from(["", "featured"]),
    omits_stopped_video=st.booleans(),
    video_aspect_ratio=st.sampled_from(VideoAspectRatio),
    video_fill_mode=st.none() | st.sampled_from(VideoFillMode),
    grid_gap_pixels=GAPS,
    participant_order_attribute=st.sampled_from(["", "order"]),
)
PIPS = st.builds(
    PipLayout,
    featured_participant_attribute=st.sampled_from(["", "featured"]),
    omits_stopped_video=st.booleans(),
    video_fill_mode=st.sampled_from(VideoFillMode),
    grid_gap_pixels=GAPS,
    pip_participant_attribute=st.sampled_from(["", "pip"]),
    pip_behavior=st.sampled_from(PipBehavior),
    pip_position=st.sampled_from(PipPosition),
    pip_offset_pixels=st.integers(0, 60) | st.sampled_from([10**6]),
    pip_width_pixels=st.none() | st.integers(1, 3000),
    pip_height_pixels=st.none() | st.integers(1, 3000),
    participant_order_attribute=st.sampled_from(["", "order"]),
)


@st.composite
def participants(draw: st.DrawFn, most: int = 16) -> list[ArrangedParticipant]:
    """Draw participants named p0, p1, and so on."""
    count = draw(st.integers(0, most))
    return [
        ArrangedParticipant(
            participant_id=f"p{index}",
            attributes=draw(ATTRIBUTES),
            is_video_stopped=draw(st.booleans()),
            picture_size=draw(PICTURES),
        )
        for index in range(count)
    ]


def people(count: int, **attributes: dict[int, str]) -> list[ArrangedParticipant]:
    """Return participants named p0, p1, and so on; `attributes` has by attribute who has which value."""
    return [
        ArrangedParticipant(
            participant_id=f"p{index}",
            attributes={name: values[index] for name, values in attributes.items() if index in values},
        )
        for index in range(count)
    ]


def rectangles(
    shown: Sequence[ArrangedParticipant], layout: Layout, canvas: PictureSize = HD
) -> dict[str, tuple[int, int, int, int]]:
    """Return x, y, width and height by participant."""
    return {placement.participant_id: box(placement.rectangle) for placement in arrange(shown, layout, canvas)}


def box(rectangle: Rectangle) -> tuple[int, int, int, int]:
    """Return x, y, width and height."""
    return rectangle.x, rectangle.y, rectangle.width, rectangle.height


def by_depth(placements: Sequence[Placement], depth: int) -> list[Rectangle]:
    """Return the rectangles of one depth."""
    return [placement.rectangle for placement in placements if placement.depth == depth]
