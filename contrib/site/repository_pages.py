"""The pages of the repository that are outside of docs/, and the links between all pages.

A page of the documentation is read in two places: on a code host, where its links are paths in the repository, and on
the site, where only pages and pictures exist. The links are written for the code host. For the site they are
translated: a link to a page or to a file below docs/ leads to it, and a link to any other file of the repository
becomes its text.
"""

import posixpath
import re
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

DOCS = "docs"

FOLDERS = ("clients", "examples")
"""Folders of the repository whose README files are pages: their own one and those of the folders in them."""


def _outside_pages() -> Mapping[str, str]:
    pages = {
        "README.md": "index.md",
        "CONTRIBUTING.md": "contributing.md",
        "CHANGELOG.md": "changelog.md",
        "SECURITY.md": "security-policy.md",
    }
    for folder in FOLDERS:
        if (ROOT / folder / "README.md").exists():
            pages[f"{folder}/README.md"] = f"{folder}/index.md"
        for path in sorted((ROOT / folder).glob("*/README.md")):
            pages[path.relative_to(ROOT).as_posix()] = f"{folder}/{path.parent.name}.md"
    return pages


OUTSIDE_PAGES = _outside_pages()
"""By path in the repository: the path on the site, of the pages outside of docs/."""

_ORIGINS: Mapping[str, str] = {page: path for path, page in OUTSIDE_PAGES.items()}

_FENCED = re.compile(r"(^ *(`{3,}).*?^ *\2`* *$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_OTHER_SITE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_EXTERNAL = re.compile(r"https?://[^\s)>\"'`]+")


class BrokenLinkError(Exception):
    """A page has a link to a file that the repository does not have. The message names both."""


def repository_path(page: str) -> str:
    """Return the path in the repository of a page of the site."""
    return _ORIGINS.get(page, f"{DOCS}/{page}")


def site_path(path: str) -> str | None:
    """Return the path on the site of a file of the repository, or None if the site does not have it."""
    if path in OUTSIDE_PAGES:
        return OUTSIDE_PAGES[path]
    return path.removeprefix(f"{DOCS}/") if path.startswith(f"{DOCS}/") else None


def without_fences(markdown: str, change: Callable[[str], str]) -> str:
    """Return the page with `change` applied to all text outside of fenced code."""
    parts = _FENCED.split(markdown)
    # A split with two groups gives text, fence, its backquotes, text ...
    return "".join(part if index % 3 == 1 else change(part) for index, part in enumerate(parts) if index % 3 != 2)


def translate_links(markdown: str, page: str) -> str:
    """Return the page with links of the site. Raises BrokenLinkError for a link to a file that does not exist."""
    origin = repository_path(page)

    def translated(match: re.Match[str]) -> str:
        image, text, target = match.groups()
        path, hash_sign, anchor = target.partition("#")
        if not path or _OTHER_SITE.match(target):
            return match.group()
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(origin), path))
        if page not in _ORIGINS and not wanted.startswith("../") and not (ROOT / wanted).exists():
            return match.group()  # a generated page, or a fault that the validation of links reports
        if not (ROOT / wanted).exists():
            message = f"{origin} has a link to {target}, which does not exist"
            raise BrokenLinkError(message)
        destination = site_path(wanted)
        if destination is None:
            return _as_text(text, wanted)
        relative = posixpath.relpath(destination, posixpath.dirname(page) or ".")
        return f"{image}[{text}]({relative}{hash_sign}{anchor})"

    return without_fences(markdown, lambda text: _LINK.sub(translated, text))


def _as_text(text: str, path: str) -> str:
    """Return the text of a link to a file that only the repository has. It names the file."""
    return f"`{path}`" if text.strip("`") in path else f"{text} (`{path}`)"


def external_links(markdown: str) -> set[str]:
    """Return the addresses of other hosts in the text of a page, outside of fenced code and of code in a line."""
    found: set[str] = set()

    def collect(text: str) -> str:
        found.update(link.rstrip(".,;:") for link in _EXTERNAL.findall(re.sub(r"`[^`]*`", "", text)))
        return text

    without_fences(markdown, collect)
    return found
