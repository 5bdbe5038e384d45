"""How a wallet did, case by case, and as JSON. page.py has it for a browser."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from certification.case import Case
from certification.trial import Finding


class Outcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one case ended. `notes` say what of it was not asked, and why."""

    case: Case
    outcome: Outcome
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`elsewhere` are the numbers that no wallet is asked, with the reason."""

    url: str
    player_id: str
    currency: str
    began: datetime
    results: tuple[Result, ...]
    elsewhere: Mapping[int, str]

    @property
    def failed(self) -> tuple[int, ...]:
        """The numbers of the cases that failed."""
        return self._numbers(Outcome.FAILED)

    @property
    def not_asked(self) -> tuple[int, ...]:
        """The numbers of the cases that wait for an option."""
        return self._numbers(Outcome.NOT_ASKED)

    @property
    def ok(self) -> bool:
        """Whether something passed and nothing failed."""
        return bool(self._numbers(Outcome.PASSED)) and not self.failed

    def verdict(self) -> str:
        """The one line that matters."""
        asked = len(self.results) - len(self.not_asked)
        waiting = f"; not asked: {_listed(self.not_asked)}" if self.not_asked else ""
        if self.failed:
            return f"{len(self.failed)} of {asked} cases failed: {_listed(self.failed)}{waiting}"
        return f"{asked} of {asked} cases passed{waiting}"

    def as_json(self) -> str:
        """Times in seconds, amounts in minor units."""
        return json.dumps(
            {
                "ok": self.ok,
                "verdict": self.verdict(),
                "failed": self.failed,
                "not_asked": self.not_asked,
                "wallet": self.url,
                "player_id": self.player_id,
                "currency": self.currency,
                "began": self.began.isoformat(),
                "cases": [_result(result) for result in self.results],
                "elsewhere": {str(number): why for number, why in self.elsewhere.items()},
            },
            indent=2,
        )

    def _numbers(self, outcome: Outcome) -> tuple[int, ...]:
        return tuple(result.case.number for result in self.results if result.outcome is outcome)


def labelled(finding: Finding) -> tuple[tuple[str, str], ...]:
    """The parts of a finding in the order in which they are read. What has nothing to say is left out."""
    parts = (
        ("expected", finding.expected),
        ("came", finding.came),
        ("next", finding.next),
        ("request", finding.request),
        ("answer", finding.answer),
    )
    return tuple((label, text) for label, text in parts if text)


def _result(result: Result) -> dict[str, Any]:
    return {
        "number": result.case.number,
        "title": result.case.title,
        "asks": result.case.asks,
        "outcome": result.outcome.value,
        "seconds": round(result.seconds, 3),
        "notes": list(result.notes),
        "findings": [asdict(finding) for finding in result.findings],
    }


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(str(number) for number in numbers)
