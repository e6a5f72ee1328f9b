"""The hooks of MkDocs: they add generated pages and translate links. `mkdocs.yml` names this module.

MkDocs calls the functions below by their names (https://www.mkdocs.org/dev-guide/plugins/#events).
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

from contrib.site.generated_pages import generated_pages, with_generated
from contrib.site.repository_pages import OUTSIDE_PAGES, ROOT, BrokenLinkError, external_links, translate_links

EXTERNAL_LINKS_FILE = "external-links.txt"
"""The list of all addresses of other hosts, in the site's folder. They are not checked: the build needs no network."""

_external: set[str] = set()


REMOTE_SCRIPT = re.compile(r'<script src="https://unpkg\.com/iframe-worker/shim"></script>')
"""The script of another host that the theme loads for the search in files."""


UNNAMED_SEARCH = '<div class="md-search" data-md-component="search" role="dialog"'
"""The dialog to which the theme gives no name for screen readers."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the generated pages to the navigation."""
    config.nav = with_generated(config.nav or [])
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not files below docs/."""
    _external.clear()
    for path, page in OUTSIDE_PAGES.items():
        content = (ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=content))
    for page, content in generated_pages():
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs' names
    """Translate the links of a page."""
    _external.update(external_links(markdown))
    try:
        return translate_links(markdown, page.file.src_uri)
    except BrokenLinkError as error:
        raise PluginError(str(error)) from error


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:  # noqa: ARG001 - MkDocs' names
    """Correct what the theme does otherwise than this site needs it."""
    return _corrected(output, page.url)


def on_post_template(output_content: str, template_name: str, config: MkDocsConfig) -> str:  # noqa: ARG001 - same
    """Do the same for the page that a server shows for an unknown address."""
    return _corrected(output_content, template_name) if template_name == "404.html" else output_content


def _corrected(html: str, url: str) -> str:
    script = get_relative_url("site/file_worker.js", url)
    html, count = REMOTE_SCRIPT.subn(f'<script src="{script}"></script>', html)
    html = html.replace(UNNAMED_SEARCH, f'{UNNAMED_SEARCH} aria-label="Search"')
    if count != 1:
        message = f"{url}: the theme loads its script for the search in another way than before"
        raise PluginError(message)
    return html


def on_post_build(config: MkDocsConfig) -> None:
    """Write the list of external links."""
    lines = "".join(f"{link}\n" for link in sorted(_external))
    Path(config.site_dir, EXTERNAL_LINKS_FILE).write_text(lines, encoding="utf-8")
