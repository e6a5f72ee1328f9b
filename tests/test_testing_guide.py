"""The first test of docs/testing.md."""

import re
from pathlib import Path
from typing import Any

from stagebook.testing import StagebookServer

GUIDE = Path(__file__).parents[1] / "docs" / "testing.md"


def test_the_first_test_of_the_guide_passes(ivs: Any, stagebook: StagebookServer) -> None:  # noqa: ANN401 - boto3's
    block = re.search(r"^```python\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert block is not None
    names: dict[str, Any] = {}
    exec(block[1], names)  # noqa: S102 - a page of this repository
    names["test_a_viewer_loses_the_network"](ivs, stagebook)
