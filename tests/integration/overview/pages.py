"""All pages of a list of rounds, one after the other."""

from contracts.views import RoundFilter
from overview.rounds import Rounds


async def listed(rounds: Rounds, wanted: RoundFilter, *, limit: int) -> list[str]:
    """The ids of all pages. Each is within its limit, and none ends before the search does."""
    found: list[str] = []
    before: int | None = None
    while True:
        page = await rounds.page(wanted, before=before, limit=limit)
        assert len(page.rounds) <= limit
        found += [view.key.round_id for view in page.rounds]
        if (before := page.following) is None:
            return found
