"""The report of the benchmark: tables, targets and verdict, as Markdown that is also readable in a terminal."""

from collections.abc import Sequence

import msgspec

BEGIN_MARK = "<!-- measured by `make bench`: begin -->"
END_MARK = "<!-- measured by `make bench`: end -->"


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table. Headings contain the unit; the first column describes the row."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        """Raise ValueError if a row has another number of cells than there are headings."""
        if any(len(row) != len(self.headings) for row in self.rows):
            raise ValueError("every row needs one cell for each heading")

    def markdown(self) -> str:
        """Return the table with aligned columns: the first one to the left, the others to the right."""
        widths = [max(map(len, column)) for column in zip(self.headings, *self.rows, strict=True)]
        rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
        return "\n".join(_line(cells, widths) for cells in (self.headings, tuple(rule), *self.rows))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = zip(cells, widths, strict=True)
    return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]) + " |"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A measured figure and its target: an upper or a lower bound."""

    what: str
    measured: float
    at_most: float | None = None
    at_least: float | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError unless there is exactly one bound."""
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("a target has exactly one bound")

    @property
    def met(self) -> bool:
        """Whether the figure is within its bound, inclusively."""
        if self.at_most is not None:
            return self.measured <= self.at_most
        return self.at_least is not None and self.measured >= self.at_least

    def row(self) -> tuple[str, ...]:
        """Return the target as a row of `targets_table`."""
        bound = f"at most {number(self.at_most)}" if self.at_most is not None else f"at least {number(self.at_least)}"
        unit = f" {self.unit}" if self.unit else ""
        return (self.what, bound + unit, number(self.measured) + unit, "yes" if self.met else "NO")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The report of one part: its title, the method, the tables, and the figures that have a target."""

    title: str
    method: str
    tables: tuple[Table, ...]
    targets: tuple[Target, ...]

    def markdown(self) -> str:
        """Return the report of the part as Markdown."""
        return "\n\n".join([f"## {self.title}", self.method, *(table.markdown() for table in self.tables)])


def targets_table(targets: Sequence[Target]) -> Table:
    """Return a table of the targets and whether they were met."""
    return Table(headings=("target", "bound", "measured", "met"), rows=tuple(target.row() for target in targets))


def document(machine: str, parts: Sequence[Part]) -> str:
    """Return the report of a run: the machine, the targets, and every part."""
    targets = [target for part in parts for target in part.targets]
    summary = [machine, targets_table(targets).markdown(), verdict(targets)]
    return "\n\n".join([*summary, *(part.markdown() for part in parts)]) + "\n"


def verdict(targets: Sequence[Target]) -> str:
    """Return a sentence that names the targets that were not met."""
    missed = [target.what for target in targets if not target.met]
    return f"Not met in this run: {'; '.join(missed)}." if missed else "All targets were met in this run."


def replace_measured(page: str, measured: str) -> str:
    """Return `page` with the text between the two marks replaced. Raises ValueError if a mark is missing."""
    before, begin, rest = page.partition(BEGIN_MARK)
    _, end, after = rest.partition(END_MARK)
    if not begin or not end:
        raise ValueError(f"the page needs the lines {BEGIN_MARK} and {END_MARK}")
    return f"{before}{BEGIN_MARK}\n\n{measured.strip()}\n\n{END_MARK}{after}"


def number(value: float | None) -> str:
    """Return a formatted number: three significant digits below 1,000, a whole number with commas above."""
    if value is None:
        return "-"
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    if value == int(value):
        return f"{value:.0f}"
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{decimals}f}"
