"""What the API reference sends goes to the call that it names; its lines for a shell hold no credentials."""

import json
import shlex
from typing import Any, Final

from runtime.settings import PROJECT_ROOT
from tests.e2e.node import node

SCRIPT: Final = PROJECT_ROOT / "tests" / "unit" / "pages" / "reference.mjs"
PATH: Final = "/v1/operator/players/{player_id}/balance"


async def asked(**parts: Any) -> dict[str, list[str]]:
    wanted = {"urls": [], "lines": [], "texts": [], **parts}
    told: dict[str, list[str]] = json.loads(await node("--no-warnings", str(SCRIPT), json.dumps(wanted)))
    return told


def player(value: str, **query: str) -> list[Any]:
    asked_for = [{"in": "query", "name": name, "value": text} for name, text in query.items()]
    return [PATH, [{"in": "path", "name": "player_id", "value": value}, *asked_for]]


async def test_what_is_entered_stays_in_its_place() -> None:
    entered = [player(value) for value in ("alice", "a/../../x", "?a=b#c", "%2e%2e", "..", ".", "")]
    queries = [
        player("alice", currency="EUR", cursor=""),
        player("alice", **{"from": "2026-01-01T00:00:00+01:00"}),
    ]
    found = (await asked(urls=[*entered, *queries]))["urls"]
    place = "http://127.0.0.1:8080/v1/operator/players"
    assert found == [
        *(f"{place}/alice/balance", f"{place}/a%2F..%2F..%2Fx/balance", f"{place}/%3Fa%3Db%23c/balance"),
        f"{place}/%252e%252e/balance",
        *["Enter a value for player_id."] * 3,
        f"{place}/alice/balance?currency=EUR",
        f"{place}/alice/balance?from=2026-01-01T00%3A00%3A00%2B01%3A00",
    ]


async def test_a_line_for_a_shell_is_the_request_and_names_no_secret() -> None:
    body = json.dumps({"reason": "it's `x` $HOME @file"})
    request = {
        "operation": {"method": "POST"},
        "body": body,
        "opened": {"name": "operatorKey", "value": "crk_secret"},
    }
    (line,) = (await asked(lines=[[request, "http://127.0.0.1:8080/a?b='c"]]))["lines"]
    assert "crk_secret" not in line
    assert '"Authorization: Bearer $key"' in line
    words = shlex.split(line)
    assert words[:5] == ["curl", "-i", "-X", "POST", "http://127.0.0.1:8080/a?b='c"]
    assert words[-2:] == ["--data-raw", body]
    read = {"operation": {"method": "GET"}, "body": None, "opened": None}
    assert (await asked(lines=[[read, "http://a/b"]]))["lines"] == ["curl -i 'http://a/b'"]


async def test_an_answer_is_indented_and_none_of_its_numbers_changes() -> None:
    texts = ['{"a":9007199254740993,"b":[1.10,{}],"c":"x:\\"{,}","d":[]}', "no JSON {", '"one"', "{}"]
    first, *others = (await asked(texts=texts))["texts"]
    assert first.splitlines() == [
        *("{", '  "a": 9007199254740993,', '  "b": [', "    1.10,", "    {}", "  ],"),
        *('  "c": "x:\\"{,}",', '  "d": []', "}"),
    ]
    assert others == texts[1:]
