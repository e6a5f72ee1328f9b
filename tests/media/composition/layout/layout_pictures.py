"""The pictures of the layouts in docs/composition.md, drawn from what `arrange` returns.

python -m tests.media.composition.layout.layout_pictures docs/images
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from stagebook.media.composition.drawing.picture_scaler import centred, letterboxed
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
from tests.media.composition.layout.arranged import HD, PORTRAIT, people

PREFIX = "layout-"
_SCALE = 8
_MARGIN = 20
_COLUMNS = 4
_WIDTH = _COLUMNS * (HD.width // _SCALE + _MARGIN) + _MARGIN
_WIDE = PictureSize(width=1280, height=720)
_TALL = PictureSize(width=720, height=1280)
_COLORS = ("#3f51b5", "#00796b", "#b26a00", "#8e3a8e", "#37718e", "#6d7f2b")
_STYLE = (
    "text { font: 12px system-ui, sans-serif; fill: #1f2937; text-anchor: middle } "
    ".tile { font-weight: 600; fill: #ffffff } .canvas { fill: #000000 } .face { fill: #ffffff; fill-opacity: 0.35 }"
)


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """One canvas."""

    caption: str
    participants: Sequence[ArrangedParticipant]
    layout: Layout
    canvas: PictureSize = HD


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One file with several canvases."""

    name: str
    title: str
    panels: Sequence[Panel]


def figures() -> list[Figure]:
    """Return all figures of the page."""
    return [_counts(), _featured(), _ratios(), _fill_modes(), _gaps_and_omissions(), _order(), _pip(), _pip_windows()]


def to_svg(figure: Figure) -> str:
    """Return a figure as the text of an SVG file."""
    lines: list[str] = []
    top = _MARGIN
    for start in range(0, len(figure.panels), _COLUMNS):
        row = figure.panels[start : start + _COLUMNS]
        for index, panel in enumerate(row):
            lines += _panel(panel, _MARGIN + index * (HD.width // _SCALE + _MARGIN), top)
        top += max(panel.canvas.height for panel in row) // _SCALE + 44
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" role="img" aria-labelledby="title">\n'
        f'  <title id="title">{figure.title}</title>\n  <style>{_STYLE}</style>\n'
        f'  <rect width="{_WIDTH}" height="{top}" rx="8" fill="#f8f9fc" />\n'
    )
    return head + "".join(f"  {line}\n" for line in lines) + "</svg>\n"


def main() -> None:
    """Write all pictures into the folder that is named on the command line."""
    for figure in figures():
        (Path(sys.argv[1]) / f"{PREFIX}{figure.name}.svg").write_text(to_svg(figure), encoding="utf-8")


def _panel(panel: Panel, left: int, top: int) -> Iterator[str]:
    width, height = panel.canvas.width // _SCALE, panel.canvas.height // _SCALE
    left += (HD.width // _SCALE - width) // 2
    yield f'<g transform="translate({left} {top})"><rect class="canvas" width="{width}" height="{height}" />'
    known = {one.participant_id: one for one in panel.participants}
    for placement in arrange(panel.participants, panel.layout, panel.canvas):
        yield from _tile(placement, known[placement.participant_id])
    yield f'<text x="{width // 2}" y="{height + 17}">{panel.caption}</text></g>'


def _tile(placement: Placement, participant: ArrangedParticipant) -> Iterator[str]:
    rectangle, source = placement.rectangle, participant.picture_size or _WIDE
    room = PictureSize(width=rectangle.width, height=rectangle.height)
    if participant.is_video_stopped:
        yield _rectangle(rectangle, "#343434")
    elif placement.fill_mode is VideoFillMode.CONTAIN:
        yield _rectangle(rectangle, "#000000")
        yield from _picture(placement, participant, centred(letterboxed(source, room), rectangle), "xMidYMid meet")
    else:
        fits = "none" if placement.fill_mode is VideoFillMode.FILL else "xMidYMid slice"
        yield from _picture(placement, participant, rectangle, fits)
    x, y = rectangle.x + rectangle.width / 2, rectangle.y + rectangle.height / 2
    label = f"{participant.participant_id[1:]}{' (off)' if participant.is_video_stopped else ''}"
    yield f'<text class="tile" x="{x / _SCALE:g}" y="{y / _SCALE + 4:g}">{label}</text>'


def _picture(placement: Placement, participant: ArrangedParticipant, where: Rectangle, fits: str) -> Iterator[str]:
    """Draw a picture with a circle in it, which shows what is cropped and what is stretched."""
    number = int(participant.participant_id[1:])
    yield _rectangle(where, _COLORS[number % len(_COLORS)], edge=placement.depth > 0)
    if participant.picture_size is None:
        return
    source = participant.picture_size
    box = " ".join(f"{value / _SCALE:g}" for value in (where.x, where.y, where.width, where.height))
    x, y, width, height = box.split()
    yield (
        f'<svg x="{x}" y="{y}" width="{width}" height="{height}" viewBox="0 0 {source.width} {source.height}" '
        f'preserveAspectRatio="{fits}"><circle class="face" cx="{source.width // 2}" cy="{source.height // 2}" '
        f'r="{min(source.width, source.height) // 2}" /></svg>'
    )


def _rectangle(rectangle: Rectangle, color: str, *, edge: bool = False) -> str:
    x, y, width, height = (
        f"{value / _SCALE:g}" for value in (rectangle.x, rectangle.y, rectangle.width, rectangle.height)
    )
    stroke = ' stroke="#ffffff"' if edge else ""
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{color}"{stroke} />'


def _numbered(count: int, **attributes: dict[int, str]) -> list[ArrangedParticipant]:
    """Return participants p1, p2 and so on; `attributes` is by number."""
    return people(count + 1, **attributes)[1:]


def _shaped(*sizes: PictureSize, **attributes: dict[int, str]) -> list[ArrangedParticipant]:
    shown = _numbered(len(sizes), **attributes)
    return [msgspec.structs.replace(one, picture_size=size) for one, size in zip(shown, sizes, strict=True)]


def _counts() -> Figure:
    panels = [
        Panel(
            caption=f"{count} participant{'s' if count > 1 else ''}", participants=_numbered(count), layout=GridLayout()
        )
        for count in (1, 2, 3, 4, 5, 7, 9, 12)
    ]
    portrait = [
        Panel(caption=f"{count}, portrait canvas", participants=_numbered(count), layout=GridLayout(), canvas=PORTRAIT)
        for count in (1, 2, 4, 8)
    ]
    return Figure(name="grid", title="The grid of 1 to 12 participants", panels=panels + portrait)


def _featured() -> Figure:
    layout = GridLayout(featured_participant_attribute="featured")
    panels = [
        Panel(
            caption=f"1 featured, {count - 1} other{'' if count == 2 else 's'}",
            participants=_numbered(count, featured={1: "true"}),
            layout=layout,
        )
        for count in (1, 2, 4, 12)
    ]
    portrait = [
        Panel(
            caption=f"{count - 1} others, portrait canvas",
            participants=_numbered(count, featured={1: "true"}),
            layout=layout,
            canvas=PORTRAIT,
        )
        for count in (3, 9)
    ]
    return Figure(name="featured", title="The grid with a featured participant", panels=panels + portrait)


def _ratios() -> Figure:
    panels = [
        Panel(caption=f"{ratio}", participants=_numbered(5), layout=GridLayout(video_aspect_ratio=ratio))
        for ratio in (VideoAspectRatio.VIDEO, VideoAspectRatio.SQUARE, VideoAspectRatio.PORTRAIT, VideoAspectRatio.AUTO)
    ]
    return Figure(name="aspect-ratio", title="Five participants with each videoAspectRatio", panels=panels)


def _fill_modes() -> Figure:
    shown = _shaped(_WIDE, _TALL, featured={1: "true"})
    panels = [
        Panel(caption=f"{mode}", participants=_shaped(_WIDE, _TALL), layout=GridLayout(video_fill_mode=mode))
        for mode in (VideoFillMode.COVER, VideoFillMode.CONTAIN, VideoFillMode.FILL)
    ]
    unset = Panel(
        caption="unset, 1 featured", participants=shown, layout=GridLayout(featured_participant_attribute="featured")
    )
    return Figure(
        name="fill-mode", title="A landscape and a portrait picture with each videoFillMode", panels=[*panels, unset]
    )


def _gaps_and_omissions() -> Figure:
    gaps = [
        Panel(caption=f"gridGap {gap}", participants=_numbered(4), layout=GridLayout(grid_gap_pixels=gap))
        for gap in (0, 40)
    ]
    stopped = [msgspec.structs.replace(one, is_video_stopped=one.participant_id == "p2") for one in _numbered(4)]
    omissions = [
        Panel(
            caption=f"omitStoppedVideo {str(omits).lower()}",
            participants=stopped,
            layout=GridLayout(omits_stopped_video=omits),
        )
        for omits in (False, True)
    ]
    return Figure(name="gap", title="gridGap, and omitStoppedVideo with 2 of 4 stopped", panels=gaps + omissions)


def _order() -> Figure:
    orders: list[dict[int, str]] = [{}, {1: "10", 2: "9", 3: "-1"}, {4: "1"}, {1: "1.5", 3: "2", 4: "2"}]
    panels = [
        Panel(
            caption=", ".join(f"{number}: {value}" for number, value in order.items()) or "no values",
            participants=_numbered(4, order=order),
            layout=GridLayout(participant_order_attribute="order"),
        )
        for order in orders
    ]
    return Figure(name="order", title="The order of four participants by participantOrderAttribute", panels=panels)


def _pip() -> Figure:
    layout = PipLayout(pip_participant_attribute="pip", featured_participant_attribute="featured", pip_offset_pixels=24)
    dynamic = msgspec.structs.replace(layout, pip_behavior=PipBehavior.DYNAMIC)
    two = _numbered(2, featured={1: "true"}, pip={2: "true"})
    panels = [
        Panel(caption="1 featured, 2 in the window", participants=two, layout=layout),
        Panel(caption="nobody featured", participants=_numbered(3, pip={2: "true"}), layout=layout),
        Panel(
            caption="1 featured, 2 others",
            participants=_numbered(4, featured={1: "true"}, pip={2: "true"}),
            layout=layout,
        ),
        Panel(caption="nobody in the window", participants=_numbered(3), layout=layout),
        Panel(caption="2 is alone, STATIC", participants=two[1:], layout=layout),
        Panel(caption="2 is alone, DYNAMIC", participants=two[1:], layout=dynamic),
        Panel(caption="portrait canvas", participants=two, layout=layout, canvas=PORTRAIT),
        Panel(caption="2 has a portrait picture", participants=_shaped(_WIDE, _TALL, pip={2: "true"}), layout=layout),
    ]
    return Figure(name="pip", title="Picture in picture", panels=panels)


def _pip_windows() -> Figure:
    shown = _numbered(2, pip={2: "true"})
    layout = PipLayout(pip_participant_attribute="pip")
    panels = [
        Panel(caption=f"{position}", participants=shown, layout=msgspec.structs.replace(layout, pip_position=position))
        for position in PipPosition
    ]
    offset = msgspec.structs.replace(layout, pip_offset_pixels=80)
    width = msgspec.structs.replace(offset, pip_width_pixels=560)
    both = msgspec.structs.replace(width, pip_height_pixels=560)
    panels += [
        Panel(caption="pipOffset 80", participants=shown, layout=offset),
        Panel(caption="and pipWidth 560", participants=shown, layout=width),
        Panel(caption="and pipHeight 560", participants=shown, layout=both),
        Panel(
            caption="pipWidth 5000",
            participants=shown,
            layout=msgspec.structs.replace(offset, pip_width_pixels=5000),
        ),
    ]
    return Figure(name="pip-window", title="The position and size of the window of a picture in picture", panels=panels)


if __name__ == "__main__":
    main()
