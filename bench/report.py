"""What a benchmark says: tables and verdicts, written as Markdown that also reads well in a terminal. Pure."""

from collections.abc import Sequence

import msgspec

BEGIN_MARK = "<!-- measured by `make bench`: begin -->"
END_MARK = "<!-- measured by `make bench`: end -->"


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One table. Every heading names its unit; the first column says what a row is."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        """Refuse a row of another width. Raises ValueError."""
        if any(len(row) != len(self.headings) for row in self.rows):
            raise ValueError("every row needs one cell for each heading")

    def markdown(self) -> str:
        """Return the table with aligned columns: the first one left, numbers right."""
        widths = [max(map(len, column)) for column in zip(self.headings, *self.rows, strict=True)]
        rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
        return "\n".join(_line(cells, widths) for cells in (self.headings, tuple(rule), *self.rows))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = zip(cells, widths, strict=True)
    return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]) + " |"


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """A figure that has an aim: at most, or at least, so much."""

    what: str
    measured: float
    at_most: float | None = None
    at_least: float | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        """Refuse an aim with no bound or with two. Raises ValueError."""
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("an aim has one bound")

    @property
    def met(self) -> bool:
        """Whether the figure is within its bound."""
        if self.at_most is not None:
            return self.measured <= self.at_most
        return self.at_least is not None and self.measured >= self.at_least

    def row(self) -> tuple[str, ...]:
        """Return the aim as a row of `aims_table`."""
        bound = f"at most {number(self.at_most)}" if self.at_most is not None else f"at least {number(self.at_least)}"
        unit = f" {self.unit}" if self.unit else ""
        return (self.what, bound + unit, number(self.measured) + unit, "yes" if self.met else "NO")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part's report: its title, what was measured and how, its tables, and the figures that have an aim."""

    title: str
    method: str
    tables: tuple[Table, ...]
    aims: tuple[Aim, ...]

    def markdown(self) -> str:
        """Return the whole part."""
        return "\n\n".join([f"## {self.title}", self.method, *(table.markdown() for table in self.tables)])


def aims_table(aims: Sequence[Aim]) -> Table:
    """Return which aims were met."""
    return Table(headings=("aim", "bound", "measured", "met"), rows=tuple(aim.row() for aim in aims))


def document(machine: str, parts: Sequence[Part]) -> str:
    """Return the report of a whole run: the machine, the aims, every part."""
    aims = [aim for part in parts for aim in part.aims]
    told = [machine, aims_table(aims).markdown(), verdict(aims)]
    return "\n\n".join([*told, *(part.markdown() for part in parts)]) + "\n"


def verdict(aims: Sequence[Aim]) -> str:
    """Return which aims were missed, in one sentence."""
    missed = [aim.what for aim in aims if not aim.met]
    return f"Not met in this run: {'; '.join(missed)}." if missed else "All aims were met in this run."


def replace_measured(page: str, measured: str) -> str:
    """Return `page` with what stands between the two marks replaced. Raises ValueError if a mark is missing."""
    before, begin, rest = page.partition(BEGIN_MARK)
    _, end, after = rest.partition(END_MARK)
    if not begin or not end:
        raise ValueError(f"the page needs the lines {BEGIN_MARK} and {END_MARK}")
    return f"{before}{BEGIN_MARK}\n\n{measured.strip()}\n\n{END_MARK}{after}"


def number(value: float | None) -> str:
    """Return a number for a person: three significant digits below 1,000, whole and with commas above."""
    if value is None:
        return "-"
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    if value == int(value):
        return f"{value:.0f}"
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{decimals}f}"
