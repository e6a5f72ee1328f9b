"""Every page has its place in the navigation of the site, and every place has its page."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from botocore.loaders import Loader

from contrib.site.generated_pages import generated_pages, with_generated
from contrib.site.repository_pages import OUTSIDE_PAGES, ROOT
from stagebook.api.aws.rest_json.service_model import API_VERSION, SERVICE


class ConfigurationLoader(yaml.SafeLoader):
    """A loader of mkdocs.yml, which names a Python function in one place."""


ConfigurationLoader.add_multi_constructor("tag:yaml.org,2002:python/", lambda _loader, _suffix, _node: None)


def navigation() -> list[Any]:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    found: list[Any] = yaml.load(text, ConfigurationLoader)["nav"]  # noqa: S506 - a subclass of the safe loader
    return with_generated(found)


def paths(item: Any) -> Iterator[str]:  # noqa: ANN401 - a part of the navigation
    match item:
        case str():
            yield item
        case list():
            for each in item:
                yield from paths(each)
        case dict():
            yield from paths(list(item.values()))


PAGES = sorted(path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("page", [*PAGES, *OUTSIDE_PAGES.values()])
def test_every_page_is_in_the_navigation_of_mkdocs_yml(page: str) -> None:
    assert page in list(paths(navigation())), (
        f"add {page} to `nav` in mkdocs.yml, in the section where readers look for it"
    )


def test_every_generated_page_is_in_the_navigation_once() -> None:
    generated = [path for path, _ in generated_pages()]
    listed = list(paths(navigation()))
    assert sorted(generated) == sorted(set(listed) - set(PAGES) - set(OUTSIDE_PAGES.values()))
    assert len(listed) == len(set(listed))


def test_every_page_of_the_repository_root_is_on_the_site() -> None:
    not_for_readers = {"PACKAGE.md"}  # the text of the page of the package index, a part of README
    assert {path.name for path in ROOT.glob("*.md")} - not_for_readers <= set(OUTSIDE_PAGES)


def sentences_of_the_service_model() -> set[str]:
    """Return what AWS's documentation says in the service model: its text is not ours to publish."""
    raw = json.dumps(Loader().load_service_model(SERVICE, "service-2", API_VERSION))
    texts = [re.sub(r"<[^>]+>", "", text) for text in re.findall(r'"documentation": "((?:[^"\\]|\\.)*)"', raw)]
    return {sentence.strip() for text in texts for sentence in text.split(". ") if len(sentence) > 40}


def test_no_page_has_a_sentence_of_the_documentation_of_aws() -> None:
    text = "\n".join(page for _, page in generated_pages())
    sentences = sentences_of_the_service_model()
    assert len(sentences) > 200
    assert [sentence for sentence in sentences if sentence in text] == []


def test_the_generated_pages_have_no_unfilled_placeholder() -> None:
    operations = [(path, text) for path, text in generated_pages() if path.startswith("operations/")]
    assert [path for path, text in operations if re.search(r'[" =]\{\w+\}["\s]', text)] == []
