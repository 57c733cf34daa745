"""Opening hours: whether business is done at a moment."""

from collections.abc import Iterable
from datetime import datetime, time, tzinfo

from agent.supervision.settings import DAYS, OpeningHours


def is_open(hours: Iterable[OpeningHours], moment: datetime, zone: tzinfo | None) -> bool:
    """Whether a moment lies in any row, by the clock on the wall there.

    An hour that summer time repeats belongs to the row both times; one that it skips does not
    come. A row is open at ``opens`` and closed at ``closes``.

    Args:
        hours: the rows.
        moment: with a zone.
        zone: of the wall clock; ``None``: the machine's own.
    """
    local = moment.astimezone(zone)
    today, yesterday = DAYS[local.weekday()], DAYS[local.weekday() - 1]
    now = local.time()
    for row in hours:
        opens, closes = time.fromisoformat(row.opens), time.fromisoformat(row.closes)
        if opens < closes:
            if today in row.days and opens <= now < closes:
                return True
        elif (today in row.days and now >= opens) or (yesterday in row.days and now < closes):
            return True
    return False
