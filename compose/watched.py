"""Which metrics the alert rules and the dashboards use: what is scraped of a program that has far more."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from compose.dashboards import DASHBOARDS, expressions

RULES: Final = tuple(
    Path(__file__).parent / "prometheus" / f"{name}.yml"
    for name in ("service", "money", "workers", "broker", "database")
)
_EXPRESSION: Final = re.compile(r"^\s+expr: (.+)$", re.MULTILINE)
# What is no name of a metric: texts, matchers, ranges, and the labels after a word of grouping.
_NO_NAMES: Final = re.compile(
    r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)'
)
_NAME: Final = re.compile(r"\b[a-z_][a-z0-9_]*\b(?!\s*\()")
_OPERATORS: Final = frozenset({"and", "or", "unless", "by", "without", "on", "ignoring", "bool", "offset"})
_OF_A_HISTOGRAM: Final = re.compile(r"_(bucket|sum|count)$")


def rules() -> Iterator[str]:
    """The expression of every alert, each on a line of its own."""
    for path in RULES:
        yield from _EXPRESSION.findall(path.read_text(encoding="utf-8"))


def everything() -> set[str]:
    """The series that any rule or panel reads."""
    shown = (expression for dashboard in DASHBOARDS for expression in expressions(dashboard))
    return names((*rules(), *shown))


def names(expressions: Iterable[str]) -> set[str]:
    """The series that they read, by name."""
    found = {name for text in expressions for name in _NAME.findall(_NO_NAMES.sub(" ", text))}
    return found - _OPERATORS


def family(series: str) -> str:
    """The metric of a series: a histogram has three of them."""
    return _OF_A_HISTOGRAM.sub("", series)


def kept(*prefixes: str) -> str:
    """The regular expression of the series with these prefixes, for Prometheus to keep of all that a program
    has."""
    return "|".join(sorted(name for name in everything() if name.startswith(prefixes)))
