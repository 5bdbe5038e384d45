"""games/ is pure mathematics: read from its source, not promised."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import games

FOLDER = Path(games.__file__).parent
SOURCES = sorted(FOLDER.glob("**/*.py"))
# Nothing here reads a clock, a file, a network or a source of chance. importlib is for the registry alone.
ALLOWED = {
    "collections", "dataclasses", "fractions", "functools", "hmac", "inspect", "itertools",
    "math", "re", "struct", "types", "typing", "games", "contracts",
}  # fmt: skip
FRACTIONS_ONLY_IN = {"maths.py"}
IMPORTLIB_ONLY_IN = {"registry.py"}


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            yield (node.module or "").partition(".")[0]


def fractional(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield f"line {node.lineno}: the literal {node.value}"
        if isinstance(node, ast.Name) and node.id in {"float", "complex", "round"}:
            yield f"line {node.lineno}: {node.id}"
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield f"line {node.lineno}: a division that leaves the integers"


class TestGames:
    @pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
    def test_import_only_what_cannot_do_anything(self, source: Path) -> None:
        allowed = ALLOWED | ({"importlib"} if source.name in IMPORTLIB_ONLY_IN else set())
        allowed -= set() if source.name in FRACTIONS_ONLY_IN else {"fractions"}
        assert set(imports(ast.parse(source.read_text()))) - allowed == set()

    @pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
    def test_never_leave_the_integers(self, source: Path) -> None:
        assert list(fractional(ast.parse(source.read_text()))) == []

    @pytest.mark.parametrize("code", ["0.5", "float(1)", "1 / 2", "x /= 2", "round(x)", "2j"])
    def test_would_be_caught_leaving_them(self, code: str) -> None:
        assert list(fractional(ast.parse(code)))

    @pytest.mark.parametrize("code", ["import time", "from random import randint", "import os.path"])
    def test_would_be_caught_importing_more(self, code: str) -> None:
        assert not set(imports(ast.parse(code))) <= ALLOWED
