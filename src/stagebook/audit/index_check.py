"""The check of a search index against its book."""

from pathlib import Path

from stagebook.audit import book_rules
from stagebook.audit.book_rules import Report, Violation
from stagebook.book.event_id import event_id
from stagebook.history.search.index_scan import IndexUnreadableError, index_differences


def check_index(path: Path, book_path: Path, report: Report) -> int:
    """Check the search index at `path`, if there is one; return how many differences were reported."""
    count = 0
    try:
        for each in index_differences(path, book_path=book_path):
            report(
                Violation(
                    rule=book_rules.SEARCH_INDEX.name,
                    detail="the search index lacks the event"
                    if each.is_missing
                    else "the search index has other values",
                    stage_arn=each.stage_arn,
                    session_id=each.session_id,
                    participant_id=each.participant_id,
                    event_id=event_id(each.sequence, session_id=each.session_id, participant_id=each.participant_id)
                    if each.sequence > 0
                    else "",
                )
            )
            count += 1
    except IndexUnreadableError as error:
        report(Violation(rule=book_rules.SEARCH_INDEX.name, detail=str(error)))
        count += 1
    return count
