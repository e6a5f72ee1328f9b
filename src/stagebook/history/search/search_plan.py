"""The plans of a search: ranges of one index of the search index, merged in the order of the sequence numbers.

Each filter has an index, and each index is ordered by sequence number within one value. A filter by names, or by any
error code, reads the range of each value; SQLite merges them, so a page costs what it returns. The conditions that the
index does not have are checked for each entry on the way.
"""

import msgspec

from stagebook.history.search.search_keys import SearchKeys


class SearchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A way to find entries: the index, the equalities that each of its ranges has, and the conditions of the rest.

    `ranges` are the values of `columns`, one tuple for each range. All numbers are integers of this process, so they
    are written into the statement.
    """

    index: str
    columns: tuple[str, ...]
    ranges: tuple[tuple[int, ...], ...]
    conditions: tuple[str, ...]

    def matching(self, *, oldest_first: bool) -> str:
        """Return the statement for the numbers of the next `:limit` entries that match.

        `:first` and `:last` bound the numbers. Parameters, because they differ in each page.
        """
        return f"{self._merged(self.conditions, oldest_first=oldest_first)} LIMIT :limit"

    def candidate(self, *, oldest_first: bool) -> str:
        """Return the statement for the number of the entry at `:offset` of those that must be examined."""
        return f"{self._merged((), oldest_first=oldest_first)} LIMIT 1 OFFSET :offset"

    def count(self) -> str:
        """Return the statement for the number of entries that must be examined, at most `:limit`."""
        parts = [f"SELECT 1 {self._range(values, ())}" for values in self.ranges]
        return f"SELECT count(*) FROM ({' UNION ALL '.join(parts)} LIMIT :limit)"  # noqa: S608 - of integers

    def _merged(self, conditions: tuple[str, ...], *, oldest_first: bool) -> str:
        parts = [f"SELECT sequence {self._range(values, conditions)}" for values in self.ranges]
        return f"{' UNION ALL '.join(parts)} ORDER BY sequence {'ASC' if oldest_first else 'DESC'}"

    def _range(self, values: tuple[int, ...], conditions: tuple[str, ...]) -> str:
        equalities = [f"{column} = {value}" for column, value in zip(self.columns, values, strict=True)]
        terms = " AND ".join([*equalities, "sequence BETWEEN :first AND :last", *conditions])
        return f"FROM entry INDEXED BY {self.index} WHERE {terms}"


def plans(keys: SearchKeys) -> list[SearchPlan]:
    """Return the plans for a search, usually the most selective first. The last one fits every search."""
    stage = keys.session_stage if keys.stage is None else keys.stage
    found: list[SearchPlan] = []

    def add(index: str, columns: tuple[str, ...], ranges: tuple[tuple[int, ...], ...]) -> None:
        found.append(SearchPlan(index=index, columns=columns, ranges=ranges, conditions=_conditions(keys, columns)))

    if keys.composition is not None:
        add("entry_by_composition", ("composition_key",), ((keys.composition,),))
    if keys.participant is not None:
        add("entry_by_participant", ("participant_key",), ((keys.participant,),))
    if keys.errors:
        add("entry_by_error", ("account_key", "error_code"), tuple((keys.account, code) for code in keys.errors))
    if keys.user is not None:
        add("entry_by_user", ("user_key",), ((keys.user,),))
    if stage is not None:
        add("entry_by_stage", ("stage_key", "name"), tuple((stage, name) for name in keys.names))
    if keys.causes:
        add("entry_by_cause", ("account_key", "cause"), tuple((keys.account, cause) for cause in keys.causes))
    add("entry_by_account", ("account_key", "name"), tuple((keys.account, name) for name in keys.names))
    return found


def _conditions(keys: SearchKeys, indexed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the conditions of the columns that are not `indexed`."""
    required = {
        "account_key": (keys.account,),
        "stage_key": () if keys.stage is None else (keys.stage,),
        "session_key": () if keys.session is None else (keys.session,),
        "participant_key": () if keys.participant is None else (keys.participant,),
        "user_key": () if keys.user is None else (keys.user,),
        "composition_key": () if keys.composition is None else (keys.composition,),
        "name": keys.names if keys.are_names_given else (),
        "error_code": keys.errors,
        "cause": keys.causes,
    }
    # A stage, a user and a composition belong to one account.
    if {"stage_key", "user_key", "composition_key"} & set(indexed):
        required["account_key"] = ()
    return tuple(
        f"{column} IN ({', '.join(map(str, values))})"
        for column, values in required.items()
        if values and column not in indexed
    )
