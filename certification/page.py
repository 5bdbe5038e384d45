"""A report as one HTML page: nothing is loaded, nothing runs, and all text is escaped."""

from collections.abc import Iterable
from html import escape
from typing import Final

from certification.report import Report, Result, labelled
from certification.trial import Finding

# The page holds words of a foreign wallet. One that got past the escaping would still not run.
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
STYLE: Final = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
section { border-left: .3rem solid #888; margin: 1.2rem 0; padding: .1rem 1rem }
section.passed { border-color: #2a8a3e }
section.failed { border-color: #c22f2f }
section.not-asked { border-color: #c08a00 }
h2 { font-size: 1.05rem; margin: .3rem 0 }
p { margin: .3rem 0 }
dl { display: grid; grid-template-columns: 6rem 1fr; gap: .2rem .8rem; margin: .8rem 0 }
dt { opacity: .7 }
dd { margin: 0; overflow-wrap: anywhere }
dd.request, dd.answer { font: .85rem/1.5 ui-monospace, monospace }
"""


def page(report: Report) -> str:
    """The whole page."""
    facts = (
        ("wallet", report.url),
        ("player", f"{report.player_id}, {report.currency}"),
        ("began", f"{report.began:%Y-%m-%d %H:%M:%S} UTC"),
    )
    return "\n".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Wallet certification</title><style>{STYLE}</style></head><body>",
            f"<h1>Wallet certification</h1><p><strong>{escape(report.verdict())}</strong></p>",
            _definitions(facts),
            *(_case(result) for result in report.results),
            "<h2>Not asked of a wallet</h2>",
            _definitions((str(number), why) for number, why in report.elsewhere.items()),
            "</body></html>\n",
        )
    )


def _case(result: Result) -> str:
    case, word = result.case, result.outcome.value
    return "\n".join(
        (
            f'<section class="{word.replace(" ", "-")}">',
            f"<h2>{case.number} {escape(case.title)}: {word}</h2><p>{escape(case.asks)}</p>",
            *(f"<p><em>{escape(note)}</em></p>" for note in result.notes),
            *(_finding(finding) for finding in result.findings),
            "</section>",
        )
    )


def _finding(finding: Finding) -> str:
    return _definitions(labelled(finding))


def _definitions(pairs: Iterable[tuple[str, str]]) -> str:
    rows = (
        f'<dt>{escape(label)}</dt><dd class="{escape(label)}">{escape(text)}</dd>' for label, text in pairs
    )
    return "<dl>" + "".join(rows) + "</dl>"
