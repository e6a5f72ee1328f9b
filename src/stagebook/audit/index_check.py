"""The check of a search index against its book."""

from pathlib import Path

from stagebook.audit import book_rules
from stagebook.audit.book_rules import Report, Violation
from stagebook.book.event_id import event_id
from stagebook.history.search.index_scan import IndexDifference, IndexUnreadableError, index_differences


def check_index(path: Path, book_path: Path, report: Report) -> int:
    """Check the search index at `path`, if there is one; return how many differences were reported."""
    count = 0
    try:
        for each in index_differences(path, book_path=book_path):
            report(_violation(each))
            count += 1
    except IndexUnreadableError as error:
        report(Violation(rule=book_rules.SEARCH_INDEX.name, detail=str(error)))
        count += 1
    return count


def _violation(difference: IndexDifference) -> Violation:
    what = "the search index lacks the event" if difference.is_missing else "the search index has other values"
    event = ""
    if difference.sequence > 0:
        # Of a composition, `LoggedCompositionEvent.event_id`.
        of = difference.participant_id or difference.composition_arn
        event = event_id(difference.sequence, session_id=difference.session_id, participant_id=of)
    return Violation(
        rule=book_rules.SEARCH_INDEX.name,
        detail=f"{difference.composition_arn}: {what}" if difference.composition_arn else what,
        stage_arn=difference.stage_arn,
        session_id=difference.session_id,
        participant_id=difference.participant_id,
        event_id=event,
    )
