"""The site as MkDocs builds it: without a warning, complete, and without anything from another host."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from contrib.site.generated_pages import generated_pages
from contrib.site.repository_pages import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder


def test_every_generated_page_is_built_with_its_heading(site: Path) -> None:
    for path, markdown in generated_pages():
        title = re.match(r"# (.*)\n", markdown)
        assert title
        html = (site / path).with_suffix(".html").read_text(encoding="utf-8")
        assert re.search(rf"<h1[^>]*>{title.group(1)}<", html), path


LOADED = re.compile(
    r"<(?:script|img|iframe|source|video)\b[^>]*\ssrc=\"?([^\s\">]+)|<link\b(?![^>]*canonical)[^>]*\shref=\"?([^\s\">]+)"
)
"""The addresses that a page loads by itself, in contrast to links."""


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = [one or other for one, other in LOADED.findall(page.read_text(encoding="utf-8"))]
        assert loaded
        assert [address for address in loaded if re.match(r"(https?:)?//", address)] == [], page.name


UNRENDERED = re.compile(r"\n\s*(?:[*-]|\d+\.) \S|\n\||```|\]\([^)]*\)|\*\*\S")
"""What code hosts render and Python's Markdown does not, for instance a list without an empty line before it."""


def test_no_page_shows_unrendered_markdown(site: Path) -> None:
    for page in site.rglob("*.html"):
        article = page.read_text(encoding="utf-8").partition("<article")[2].partition("</article")[0]
        text = re.sub(r"<pre.*?</pre>|<code.*?</code>|<!--.*?-->", "", article, flags=re.DOTALL)
        assert UNRENDERED.findall(text) == [], page.name


def test_no_stylesheet_loads_anything_from_another_host(site: Path) -> None:
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet.name


def test_the_search_finds_every_operation_event_and_code(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    locations = {document["location"] for document in index["docs"]}
    assert {path.replace(".md", ".html") for path, _ in generated_pages()} <= locations


def test_the_external_links_are_listed(site: Path) -> None:
    links = (site / "external-links.txt").read_text(encoding="utf-8").splitlines()
    assert "https://www.standardwebhooks.com" in links
    assert links == sorted(links)
