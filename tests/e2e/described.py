"""The description at /openapi.json as a judge: an answer that is not described fails the test that got it."""

import re
from typing import Any

import httpx
import jsonschema_rs


class Description:
    """Checks every answer of every test over HTTP, whatever the test is about: the status, the headers, the
    type and the schema, with the code of a problem, are those that the operation lists."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._components = document["components"]
        self._validators: dict[tuple[str, str, str, str], Any] = {}
        self._operations = [
            (path, re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), verbs)
            for path, verbs in document["paths"].items()
        ]
        self.checked = 0

    async def check(self, response: httpx.Response) -> None:
        """An event hook of httpx's client."""
        request = response.request
        for path, shape, verbs in self._operations:
            operation = verbs.get(request.method.lower())
            if operation is not None and shape.fullmatch(request.url.path):
                await response.aread()
                self._check(response, (path, request.method.lower()), operation)
                return

    def _check(self, response: httpx.Response, name: tuple[str, str], operation: dict[str, Any]) -> None:
        status = str(response.status_code)
        described = operation["responses"].get(status)
        assert described is not None, f"{name} does not list {status}: {response.text[:300]}"
        for header, reference in described["headers"].items():
            definition = self._components["headers"][reference["$ref"].rpartition("/")[2]]
            assert header in response.headers or not definition.get("required"), f"{name}: no {header}"
        for header in ("Idempotent-Replayed", "Location", "Retry-After"):
            assert header not in response.headers or header in described["headers"], f"{name}: {header}"
        content = described.get("content", {})
        if not content:
            assert not response.content, name
            return
        content_type = response.headers["content-type"]
        assert content_type in content, f"{name}: {content_type}"
        self._validator((*name, status, content_type), content[content_type]["schema"]).validate(
            response.json()
        )
        self.checked += 1

    def _validator(self, key: tuple[str, str, str, str], schema: dict[str, Any]) -> Any:
        if key not in self._validators:
            self._validators[key] = jsonschema_rs.Draft202012Validator(
                {**schema, "components": self._components}, validate_formats=True
            )
        return self._validators[key]
