"""Writes src/api.ts from the description of the API: that of the code around it, or one that is named, as in
`generate.py http://127.0.0.1:8080/openapi.json`.

Types for every schema, and for every operation its path, its arguments, its answer and the codes of its
problems. Nothing but Python is needed."""

import json
import re
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

TARGET: Final = Path(__file__).parent / "src" / "api.ts"
# A list of literals that is longer than this tells a reader nothing: the currencies.
LITERALS_MAX: Final = 12
HEADER: Final = "// Made from /openapi.json by clients/typescript/generate.py. Do not edit: run it again.\n"
PRIMITIVES: Final = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}


def generate(described: dict[str, Any]) -> str:
    """The text of src/api.ts."""
    schemas = described["components"]["schemas"]
    parts = [HEADER, *(interface(name, schemas[name]) for name in sorted(schemas))]
    operations = sorted(
        (operation["operationId"], verb, path, operation)
        for path, verbs in described["paths"].items()
        for verb, operation in verbs.items()
    )
    parts.append(_operation_types(operations))
    parts.append(_operation_table(operations))
    return "\n".join(parts)


def interface(name: str, schema: dict[str, Any]) -> str:
    comment = _comment(schema.get("description"), "")
    if schema.get("type") != "object" or "properties" not in schema:
        return f"{comment}export type {name} = {type_of(schema)};\n"
    return f"{comment}export interface {name} {_members(schema, '')}\n"


def type_of(schema: Any, indent: str = "") -> str:
    """A TypeScript type that takes what the schema takes; what TypeScript cannot say, such as a pattern or a
    range, is left out."""
    if not isinstance(schema, dict):
        return "unknown"
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema and len(schema["enum"]) <= LITERALS_MAX:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    for keyword, joint in (("anyOf", " | "), ("oneOf", " | "), ("allOf", " & ")):
        if keyword in schema:
            return joint.join(dict.fromkeys(_grouped(inner, indent) for inner in schema[keyword]))
    if isinstance(schema.get("type"), list):
        return " | ".join(type_of({**schema, "type": kind}, indent) for kind in schema["type"])
    if schema.get("type") == "array":
        return f"{_grouped(schema.get('items', {}), indent)}[]"
    if schema.get("type") == "object":
        if schema.get("properties"):
            return _members(schema, indent)
        return f"Record<string, {_values(schema, indent)}>"
    return PRIMITIVES.get(str(schema.get("type")), "unknown")


def _grouped(schema: Any, indent: str) -> str:
    text = type_of(schema, indent)
    return f"({text})" if " | " in text or " & " in text else text


def _values(schema: dict[str, Any], indent: str) -> str:
    values = schema.get("additionalProperties", True)
    return type_of(values, indent) if isinstance(values, dict) else "unknown"


def _members(schema: dict[str, Any], indent: str) -> str:
    inner = indent + "  "
    required = set(schema.get("required", ()))
    lines = ["{"]
    for name, member in schema["properties"].items():
        mark = "" if name in required else "?"
        key = name if re.fullmatch(r"[A-Za-z_]\w*", name) else json.dumps(name)
        comment = _comment(member.get("description"), inner)
        lines.append(f"{comment}{inner}{key}{mark}: {type_of(member, inner)};")
    lines.append(indent + "}")
    return "\n".join(lines)


def _operation_types(operations: list[tuple[str, str, str, dict[str, Any]]]) -> str:
    lines = ["export interface Operations {"]
    for name, verb, path, operation in operations:
        lines.append(_comment(f"{verb.upper()} {path}\n{operation['description']}", "  ") + f"  {name}: {{")
        for place in ("path", "query"):
            lines.append(f"    {place}: {_parameters(operation, place)};")
        lines.append(f"    body: {_body(operation)};")
        lines.append(f"    answer: {_answer(operation)};")
        codes = " | ".join(json.dumps(code) for code in _codes(operation))
        lines.append(f"    problem: {codes};")
        lines.append("  };")
    return "\n".join([*lines, "}", ""])


def _parameters(operation: dict[str, Any], place: str) -> str:
    members = [
        f"{parameter['name']}{'' if parameter['required'] else '?'}: {type_of(parameter['schema'])}"
        for parameter in operation.get("parameters", ())
        if parameter["in"] == place
    ]
    return "{ " + "; ".join(members) + " }" if members else "Record<string, never>"


def _body(operation: dict[str, Any]) -> str:
    if "requestBody" not in operation:
        return "undefined"
    return type_of(operation["requestBody"]["content"]["application/json"]["schema"])


def _answer(operation: dict[str, Any]) -> str:
    types = [
        type_of(response["content"]["application/json"]["schema"]) if "content" in response else "undefined"
        for status, response in operation["responses"].items()
        if status.startswith("2")
    ]
    return " | ".join(dict.fromkeys(types))


def _codes(operation: dict[str, Any]) -> Iterator[str]:
    for response in operation["responses"].values():
        yield from response.get("content", {}).get("application/problem+json", {}).get("examples", ())


def _operation_table(operations: list[tuple[str, str, str, dict[str, Any]]]) -> str:
    lines = ["export const OPERATIONS = {"]
    for name, verb, path, _ in operations:
        lines.append(f"  {name}: {{ method: {json.dumps(verb.upper())}, path: {json.dumps(path)} }},")
    lines.append("} as const satisfies Record<keyof Operations, { method: string; path: string }>;")
    return "\n".join([*lines, ""])


def _comment(text: str | None, indent: str) -> str:
    if not text:
        return ""
    lines = text.replace("*/", "* /").strip().split("\n")
    if len(lines) == 1:
        return f"{indent}/** {lines[0]} */\n"
    return "\n".join([f"{indent}/**", *(f"{indent} * {line}".rstrip() for line in lines), f"{indent} */", ""])


def of_this_code() -> dict[str, Any]:
    """The description that this version of the server would give."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from api.app import described

    return described()


def read(source: str) -> dict[str, Any]:
    """The description at a web address or in a file."""
    if source.startswith(("http://", "https://")):
        with urllib.request.urlopen(source, timeout=10) as answer:  # noqa: S310 - a web address, as checked
            text = answer.read().decode()
    else:
        text = Path(source).read_text(encoding="utf-8")
    described: dict[str, Any] = json.loads(text)
    return described


if __name__ == "__main__":
    TARGET.write_text(generate(read(sys.argv[1]) if sys.argv[1:] else of_this_code()), encoding="utf-8")
