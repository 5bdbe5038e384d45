"""`croupier certify`: asks a wallet the cases and says how it went, on the terminal, as JSON, as a page."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from certification import run as certification
from certification.page import page
from certification.run import CannotRun
from cli.wallet.report import render
from contracts.failures import one_line

PASSED: Final = 0
FAILED: Final = 1
COULD_NOT_RUN: Final = 2
SECRET_VARIABLE: Final = "CROUPIER_WALLET_SECRET"  # noqa: S105 - the name of a variable
SECRET_LIMIT: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices(certification.Choices):
    """What the command line asks for besides: where the secret is, and in which form the report is wanted."""

    secret_file: Path | None = None
    as_json: bool = False
    html: Path | None = None


def run(choices: Choices) -> int:
    """Returns 0 when all that was asked passed, 1 when some failed, 2 when it could not run."""
    try:
        report = asyncio.run(certification.certify(choices, secret(choices.secret_file)))
        if choices.html is not None:
            _write(choices.html, page(report))
    except CannotRun as problem:
        typer.echo(f"croupier: {one_line(str(problem))}", err=True)
        return COULD_NOT_RUN
    if choices.as_json:
        typer.echo(report.as_json())
    else:
        render(report, Console(highlight=False))
    return PASSED if report.ok else FAILED


def secret(file: Path | None) -> str:
    """From the file, or from the environment. Raises CannotRun. Nothing of it is ever shown."""
    try:
        text = os.environ.get(SECRET_VARIABLE, "") if file is None else file.read_text()[:SECRET_LIMIT]
    except (OSError, UnicodeDecodeError) as error:
        raise CannotRun(f"the secret cannot be read: {type(error).__name__}") from None
    if len(text.split()) != 1:
        raise CannotRun(f"give one secret (whsec_...) with --secret-file or in {SECRET_VARIABLE}")
    return text.strip()


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotRun(f"the page {file} cannot be written: {error.strerror}") from None
