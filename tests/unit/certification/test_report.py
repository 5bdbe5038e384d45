"""What certify shows: reports in which a wallet's words are only words."""

import io
import json
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from rich.console import Console

from certification.case import Case
from certification.cases.table import CASES, ELSEWHERE
from certification.page import page
from certification.report import Outcome, Report, Result
from certification.trial import Finding
from cli.wallet.report import render

HOSTILE = "</dd><script>alert(1)</script><img src=x onerror='a()'> [red]bold[/red] [/nothing] & \"quoted\""
ALLOWED_TAGS = {
    *("html", "head", "meta", "title", "style", "body"),
    *("h1", "h2", "p", "strong", "em", "section", "dl", "dt", "dd"),
}


def report(*results: Result, url: str = "https://wallet.example") -> Report:
    return Report(
        url=url,
        player_id="anna",
        currency="EUR",
        began=datetime(2030, 1, 1, tzinfo=UTC),
        results=results,
        elsewhere=ELSEWHERE,
    )


def passed(number: int) -> Result:
    return Result(case=_case(number), outcome=Outcome.PASSED)


def failed(number: int, words: str = "something else") -> Result:
    finding = Finding(expected="a debit", came=words, next="mend it", request="POST /bet {}", answer=words)
    return Result(case=_case(number), outcome=Outcome.FAILED, findings=(finding,), notes=(words,))


def _case(number: int) -> Case:
    return next(case for case in CASES if case.number == number)


def rendered(shown: Report) -> str:
    stream = io.StringIO()
    render(shown, Console(file=stream, width=200, highlight=False))
    return stream.getvalue()


class Tags(HTMLParser):
    """Which tags and attributes a page has, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_escapes_what_the_wallet_said() -> None:
    tags = Tags()
    tags.feed(page(report(failed(10, HOSTILE), url=f"https://wallet.example/{HOSTILE}")))
    assert tags.tags <= ALLOWED_TAGS
    assert tags.attributes == {"lang", "charset", "http-equiv", "content", "name", "class"}
    assert tags.text.count(HOSTILE) == 4


def test_the_page_has_every_case_and_what_is_not_asked() -> None:
    shown = page(report(passed(4), failed(10), Result(case=_case(15), outcome=Outcome.NOT_ASKED)))
    assert '<section class="passed">\n<h2>4 Bet: passed' in shown
    assert '<section class="failed">\n<h2>10 Repeated bet: failed' in shown
    assert '<section class="not-asked">\n<h2>15 Same id, two players: not asked' in shown
    assert "1 of 2 cases failed: 10; not asked: 15" in shown
    assert "bet and win are two calls" in shown


def test_the_terminal_shows_markup_as_text() -> None:
    shown = rendered(report(failed(10, HOSTILE)))
    assert shown.count("[red]bold[/red] [/nothing]") == 3
    assert "1 of 1 cases failed: 10" in shown
    assert "next     mend it" in shown


@pytest.mark.parametrize(
    ("results", "ok"),
    [
        ((passed(4),), True),
        ((passed(4), failed(10)), False),
        ((Result(case=_case(15), outcome=Outcome.NOT_ASKED),), False),
        ((), False),
    ],
)
def test_a_report_is_fine_when_something_passed_and_nothing_failed(
    results: tuple[Result, ...], ok: bool
) -> None:
    assert report(*results).ok is ok
    assert json.loads(report(*results).as_json())["ok"] is ok


def test_numbers_are_in_order_once_and_either_asked_or_elsewhere() -> None:
    numbers = [case.number for case in CASES]
    assert numbers == sorted(set(numbers))
    assert not set(numbers) & ELSEWHERE.keys()
