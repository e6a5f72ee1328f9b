"""Pieces of Markdown."""

from contrib.site.page_text import from_docs, page_of, section, tab, table


def test_a_pipe_is_escaped_outside_of_code_only() -> None:
    assert table(["A"], [["a|b `c|d` e|f"]]).splitlines()[-1] == "| a\\|b `c|d` e\\|f |"


def test_a_section_without_contents_is_left_out() -> None:
    assert section("Notes", "", "") == ""
    assert section("Notes", "", "a") == "## Notes\n\na"


def test_a_tab_has_its_code_indented() -> None:
    assert tab("boto3", "python", "a = 1\n\nb = 2") == ('=== "boto3"\n\n    ```python\n    a = 1\n\n    b = 2\n    ```')


def test_links_of_a_cell_lead_one_level_up() -> None:
    cell = "[a](watch.md#access), [b](#c), [d](../clients/js/README.md), [e](https://f.example/g.md)"
    assert from_docs(cell) == "[a](../watch.md#access), [b](#c), [d](../clients/js.md), [e](https://f.example/g.md)"


def test_pages_have_short_addresses() -> None:
    assert page_of("operation", "ListTagsForResource") == "operations/list-tags-for-resource.md"
    assert page_of("event", "PUBLISH_ERROR") == "events/publish-error.md"
    assert page_of("error code", "B_FRAME_PRESENT") == "error-codes/b-frame-present.md"
