"""Links of pages, translated from paths in the repository to paths on the site."""

import pytest

from contrib.site.repository_pages import BrokenLinkError, external_links, translate_links


@pytest.mark.parametrize(
    ("page", "text", "translated"),
    [
        ("index.md", "[a](docs/watch.md#access)", "[a](watch.md#access)"),
        ("index.md", "![a](docs/images/console-stage.png)", "![a](images/console-stage.png)"),
        ("index.md", "[a](CONTRIBUTING.md)", "[a](contributing.md)"),
        ("index.md", "[page](examples/web/index.html)", "page (`examples/web/index.html`)"),
        ("index.md", "[index.html](examples/web/index.html)", "`examples/web/index.html`"),
        ("clients/js.md", "[a](../../docs/rtmp.md)", "[a](../rtmp.md)"),
        ("front-end.md", "[a](../clients/js/README.md)", "[a](clients/js.md)"),
        ("front-end.md", "[a](../CONTRIBUTING.md#fuzzing)", "[a](contributing.md#fuzzing)"),
        ("operations/get-stage.md", "[a](../watch.md)", "[a](../watch.md)"),
        ("operations/get-stage.md", "[a](create-stage.md)", "[a](create-stage.md)"),
        ("watch.md", "[a](#access)", "[a](#access)"),
        ("watch.md", "[a](https://example.com/b)", "[a](https://example.com/b)"),
    ],
)
def test_a_link_is_translated(page: str, text: str, translated: str) -> None:
    assert translate_links(f"See {text}.\n", page) == f"See {translated}.\n"


def test_code_is_not_translated() -> None:
    text = "```md\n[a](docs/watch.md)\n```\n\n[a](docs/watch.md)\n"
    assert translate_links(text, "index.md") == "```md\n[a](docs/watch.md)\n```\n\n[a](watch.md)\n"


def test_a_link_to_a_missing_file_outside_of_docs_is_refused() -> None:
    with pytest.raises(BrokenLinkError, match=r"README\.md has a link to src/missing\.py, which does not exist"):
        translate_links("[a](src/missing.py)", "index.md")


def test_a_link_to_a_missing_page_is_left_for_the_validation() -> None:
    assert translate_links("[a](missing.md)", "watch.md") == "[a](missing.md)"


def test_external_links_are_those_outside_of_code() -> None:
    text = "[a](https://a.example/b), https://c.example. `http://d.example`\n\n```sh\ncurl http://e.example\n```\n"
    assert external_links(text) == {"https://a.example/b", "https://c.example"}
