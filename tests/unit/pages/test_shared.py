"""What all pages share: generated modules that are up to date, words for every problem, exact money."""

import json
import sys
from asyncio.subprocess import create_subprocess_exec
from pathlib import Path
from typing import Final

from api.gateway.problems import PROBLEMS
from runtime.settings import PROJECT_ROOT
from tests.e2e.node import node

HERE: Final = PROJECT_ROOT / "tests" / "unit" / "pages"
PAGES: Final = PROJECT_ROOT / "pages"


async def test_what_is_generated_is_up_to_date(tmp_path: Path) -> None:
    made = await create_subprocess_exec(sys.executable, str(PAGES / "make_shared.py"), str(tmp_path))
    assert await made.wait() == 0
    assert_committed(tmp_path)


def assert_committed(made: Path) -> None:
    for file in sorted(path for path in made.rglob("*") if path.is_file()):
        committed = PAGES / "shared" / file.relative_to(made)
        assert committed.read_text("utf-8") == file.read_text("utf-8"), "run: python pages/make_shared.py"


async def test_every_problem_has_plain_words_and_a_next_step() -> None:
    told = json.loads(await node("--no-warnings", str(HERE / "problems.mjs")))
    assert set(told["words"]) == set(PROBLEMS) | {"unanswered", "no-token"}
    for code, (what, then, fatal) in told["words"].items():
        assert what.endswith("."), code
        assert then.endswith("."), code
        assert isinstance(fatal, bool)
    errors = (PROJECT_ROOT / "docs" / "reference" / "errors.md").read_text("utf-8")
    voids = errors.split("## Void rounds")[1].split("## ")[0]
    assert all(f"`{code}`" in voids for code in told["voids"])
    assert len(told["voids"]) == voids.count("\n| `")


async def test_money_is_shown_by_the_exponent_of_its_currency_and_never_rounded() -> None:
    asked = [
        (123, "EUR", "en"),
        (5, "EUR", "en"),
        (-1, "EUR", "en"),
        (1_234_567, "JPY", "en"),
        (1_234, "KWD", "en"),
        (1, "BTC", "en"),
        (9_007_199_254_740_991, "USDT", "en"),
        (9_007_199_254_740_991, "EUR", "de"),
    ]
    shown = json.loads(await node("--no-warnings", str(HERE / "money.mjs"), json.dumps(asked)))
    assert [text.replace("\xa0", " ") for text in shown] == [
        *("€1.23", "€0.05", "-€0.01", "¥1,234,567", "KWD 1.234", "BTC 0.00000001"),
        *("9,007,199,254.740991 USDT", "90.071.992.547.409,91 €"),
    ]
