"""Rules that no single file shows: no float near money, no clock where replay matters."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MONEY_FOLDERS = ("contracts", "workflows", "activities", "wallet", "outbound", "games", "hosting", "storage")
DETERMINISTIC_FOLDERS = ("contracts", "workflows", "games")
# Names that hold a time may hold a fraction of a second.
TIME_SUFFIXES = ("_s", "_seconds")
CLOCKS_AND_CHANCE = {"time", "random", "secrets", "uuid", "datetime", "os", "asyncio.sleep"}


def _files(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert found
    return found


def _floats(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every float literal, every mention of `float` and every true division, unless what it is for is a
    time: then the name it is given to says so."""
    parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            what = f"literal {node.value}"
        elif isinstance(node, ast.Name) and node.id == "float":
            what = "float"
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and not _joins_paths(node):
            what = "true division"
        else:
            continue
        if not _is_a_time(node, parents):
            yield getattr(node, "lineno", 0), what


def _joins_paths(node: ast.BinOp) -> bool:
    """`Path(...) / "name"`, the other meaning of the operator."""
    return isinstance(node.right, ast.Constant) and isinstance(node.right.value, str)


def _is_a_time(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    while node in parents:
        node = parents[node]
        match node:
            case ast.keyword(arg=name) | ast.arg(arg=name) | ast.AnnAssign(target=ast.Name(id=name)):
                return name is not None and name.lower().endswith(TIME_SUFFIXES)
            case ast.Assign(targets=[ast.Name(id=name)]):
                return name.lower().endswith(TIME_SUFFIXES)
            # A call's positional argument, such as timedelta(seconds=...)'s, is judged by its keyword above.
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                return name.endswith(TIME_SUFFIXES)
            case ast.stmt():
                return False
            case _:
                continue
    return False


# Exact fractions are what this module is made of, and no money passes through it.
FRACTIONS = ROOT / "games" / "maths.py"
# A check measures its own players, and shows percentages to people.
CHECK = ROOT / "verification" / "check"


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in _files(*MONEY_FOLDERS, "verification")
        if path != FRACTIONS and CHECK not in path.parents
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_float_is_near_money(path: Path) -> None:
    assert list(_floats(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("stake = 1.5", 1),
        ("def pay(amount: float) -> int: ...", 1),
        ("win = stake * 3 / 2", 1),
        ("pay(amount=0.5)", 1),
        ("LIMIT_S = 1.5", 0),
        ("wait(timeout_s=0.5)", 0),
        ("def wait(pause_seconds: float) -> None: ...", 0),
        ("path = folder / 'name'", 0),
    ],
)
def test_the_rule_about_floats_sees_them(source: str, found: int) -> None:
    assert len(list(_floats(ast.parse(source)))) == found


def _clocks(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [(alias.name, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(str(node.module), f"{node.module}.{alias.name}") for alias in node.names]
        else:
            continue
        for module, name in names:
            # Durations and stored times are values; only asking for the time of day makes a difference.
            if module in CLOCKS_AND_CHANCE and name not in ("datetime.timedelta", "datetime.datetime"):
                yield node.lineno, name
    for node in ast.walk(tree):
        # A workflow's own time is in its history, and the same in every replay.
        if not isinstance(node, ast.Attribute) or ast.unparse(node) == "workflow.now":
            continue
        if node.attr in ("now", "utcnow", "today", "sleep"):
            yield node.lineno, node.attr


@pytest.mark.parametrize("path", _files(*DETERMINISTIC_FOLDERS), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_clock_and_no_chance_where_replay_matters(path: Path) -> None:
    assert list(_clocks(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time", 1),
        ("from random import randint", 1),
        ("from datetime import datetime\nat = datetime.now()", 1),
        ("from temporalio import workflow\nat = workflow.now()", 0),
        ("from datetime import timedelta", 0),
    ],
)
def test_the_rule_about_clocks_sees_them(source: str, found: int) -> None:
    assert len(list(_clocks(ast.parse(source)))) == found


@pytest.mark.parametrize("folder", ["contracts", "workflows"])
def test_packages_that_workflows_load_do_nothing_at_import(folder: str) -> None:
    assert (ROOT / folder / "__init__.py").read_text() == ""


def test_every_file_tells_its_story_in_its_first_line() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in _files(
            *MONEY_FOLDERS,
            *("api", "workers", "runtime", "compose", "cli", "events", "security"),
            *("timeline", "overview", "verification", "certification"),
        )
        if path.read_text() and ast.get_docstring(ast.parse(path.read_text())) is None
    ]
    assert silent == []
