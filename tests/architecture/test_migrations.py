"""Rules of migrations: one chain, and a first half that programs of the release before can live beside."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from storage.release import Release
from storage.schema import VERSIONS, newest

# The first that was written in two halves.
FIRST: Final = "0019"
FILES: Final = sorted(VERSIONS.glob("[0-9]*.py"))
IN_HALVES: Final = [path for path in FILES if path.name[:4] >= FIRST]
TAKES_AWAY: Final = ("drop_", "rename_")


def test_migrations_are_one_chain_by_their_numbers() -> None:
    steps = Release().steps_after("")
    assert [step.revision for step in steps] == [path.name[:4] for path in FILES]
    assert [step.down_revision for step in steps] == [None, *(step.revision for step in steps[:-1])]
    assert newest() == steps[-1].revision


@pytest.mark.parametrize("path", IN_HALVES, ids=lambda path: path.stem)
def test_a_first_half_only_adds(path: Path) -> None:
    assert list(problems(path.read_text())) == []


def problems(text: str) -> Iterator[str]:
    """What in `upgrade` would fail a program of the release before, or hold its bets up for long."""
    (upgrade,) = [
        node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == "upgrade"
    ]
    calls = [
        (node.func.attr, node)
        for node in ast.walk(upgrade)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    made = {_constant(call, 0) for name, call in calls if name == "create_table"}
    for name, call in calls:
        if name.startswith(TAKES_AWAY):
            yield f"line {call.lineno}: {name} belongs into contract()"
        elif (
            name == "create_index"
            and _constant(call, 1) not in made
            and not _says(call, "postgresql_concurrently")
        ):
            yield f"line {call.lineno}: bets wait while it is built: storage.online has another way"
        elif name == "Column" and _says(call, "nullable", False) and _within_add_column(calls, call):
            if not any(keyword.arg == "server_default" for keyword in call.keywords):
                yield f"line {call.lineno}: a program of the release before writes no value there"
        elif name == "execute" and "DROP " in ast.unparse(call).upper():
            yield f"line {call.lineno}: a DROP belongs into contract()"


def _constant(call: ast.Call, place: int) -> Any:
    argument = call.args[place] if len(call.args) > place else None
    return argument.value if isinstance(argument, ast.Constant) else None


def _says(call: ast.Call, name: str, value: object = True) -> bool:
    return any(
        keyword.arg == name and isinstance(keyword.value, ast.Constant) and keyword.value.value is value
        for keyword in call.keywords
    )


def _within_add_column(calls: list[tuple[str, ast.Call]], column: ast.Call) -> bool:
    return any(name == "add_column" and column in ast.walk(call) for name, call in calls)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("op.drop_column('rounds', 'note')", 1),
        ("op.rename_table('rounds', 'games')", 1),
        ("op.execute('DROP FUNCTION reserve_round_v1')", 1),
        ("op.create_index('name', 'rounds', ['note'])", 1),
        ("op.create_index('name', 'rounds', ['note'], postgresql_concurrently=True)", 0),
        (
            "op.create_table('new', sa.Column('a', nullable=False)); op.create_index('i', 'new', ['a'])",
            0,
        ),
        ("op.add_column('rounds', sa.Column('note', sa.String(), nullable=False))", 1),
        ("op.add_column('rounds', sa.Column('note', sa.String(), nullable=False, server_default=''))", 0),
        ("op.add_column('rounds', sa.Column('note', sa.String(), nullable=True))", 0),
    ],
)
def test_the_rule_sees_what_it_is_about(statement: str, found: int) -> None:
    assert len(list(problems(f"def upgrade() -> None:\n    {statement}\n"))) == found
