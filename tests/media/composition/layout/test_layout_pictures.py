"""The pictures of the layouts in the documentation show what the layouts do."""

import re
from pathlib import Path

import pytest

from tests.media.composition.layout.layout_pictures import PREFIX, Figure, figures, to_svg

DOCS = Path(__file__).parents[4] / "docs"


@pytest.mark.parametrize("figure", figures(), ids=lambda figure: figure.name)
def test_a_picture_is_current(figure: Figure) -> None:
    """`make layout-pictures` draws them again."""
    assert (DOCS / "images" / f"{PREFIX}{figure.name}.svg").read_text(encoding="utf-8") == to_svg(figure)


def test_each_picture_is_on_the_page_and_no_other_exists() -> None:
    names = {f"{PREFIX}{figure.name}.svg" for figure in figures()}
    page = (DOCS / "composition.md").read_text(encoding="utf-8")
    assert {path.name for path in (DOCS / "images").glob(f"{PREFIX}*.svg")} == names
    assert set(re.findall(rf"images/({PREFIX}[a-z-]+\.svg)", page)) == names
