"""What `up --check` plays and looks at, on a stack of these tests."""

from typing import Any

from verification.check import run
from verification.check.playing import CHOICES
from verification.invariants.table import INVARIANTS

ROUNDS = 48


async def test_a_check_of_a_sound_stack_finds_every_game_sound(platform: dict[str, Any]) -> None:
    played = 0

    def advance() -> None:
        nonlocal played
        played += 1

    report = await run.check(platform, ROUNDS, advance)

    # Other tests leave the database as no operator leaves it; what is of this check's rounds alone must hold.
    of_all = {invariant.name for invariant in INVARIANTS}
    broken = [finding for finding in report.findings if not finding.holds]
    assert [finding for finding in broken if finding.name not in of_all] == []
    assert (played, report.rounds, report.outcomes_replayed) == (ROUNDS, ROUNDS, ROUNDS)
    assert report.events_seen_once == ROUNDS
    assert {game for game, _ in report.sums} == set(CHOICES)
