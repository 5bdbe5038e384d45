"""Every example in the description can be sent as it stands, one after the other, by a fresh operator."""

from collections.abc import Iterator
from typing import Any

import httpx

from tests.e2e.parties import Gateway

# The example's round is over, so a decision about it is understood and refused.
REFUSED = {"gameTakeAction": "round-closed", "operatorVoid": "wrong-state", "operatorResolve": "wrong-state"}
# What begins things comes first, what switches them off or ends them comes last.
FIRST = ("operatorOpenSession", "operatorDeposit", "gamePlaceBet")
ORDER = ("post", "get", "patch", "put", "delete")


def in_order(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    operations = [
        (path, verb, operation)
        for path, verbs in described["paths"].items()
        for verb, operation in verbs.items()
    ]

    def place(entry: tuple[str, str, dict[str, Any]]) -> tuple[int, int]:
        name = entry[2]["operationId"]
        return (FIRST.index(name) if name in FIRST else len(FIRST), ORDER.index(entry[1]))

    return iter(sorted(operations, key=place))


class Sender:
    """Sends an operation's example. What an answer calls `..._id` stands for the example's from then on."""

    def __init__(self, gateway: Gateway, described: dict[str, Any], key: str, platform_key: str) -> None:
        self._house, self._described = gateway, described
        self._credentials = {"operatorKey": key, "platformKey": platform_key}
        self._ids: dict[str, str] = {}

    async def send(self, path: str, verb: str, operation: dict[str, Any]) -> httpx.Response:
        needed = {parameter["name"]: parameter for parameter in operation.get("parameters", ())}
        values = {
            name: self._ids.get(name, parameter["example"])
            for name, parameter in needed.items()
            if parameter["required"]
        }
        query = {name: value for name, value in values.items() if needed[name]["in"] == "query"}
        headers = {}
        for security in operation.get("security", ()):
            for scheme in security:
                headers["Authorization"] = f"Bearer {self._credentials[scheme]}"
        body = {"json": self._body(operation)} if "requestBody" in operation else {}
        response = await self._house.http.request(
            verb, path.format_map(values), params=query, headers=headers, **body
        )
        # What the platform makes is another operator's.
        if response.status_code == 201 and not path.startswith("/v1/platform"):
            self._keep(response.json())
        return response

    def _body(self, operation: dict[str, Any]) -> Any:
        reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        return self._described["components"]["schemas"][reference.rpartition("/")[2]]["examples"][0]

    def _keep(self, answer: dict[str, Any]) -> None:
        self._ids |= {name: value for name, value in answer.items() if name.endswith("_id")}
        if "token" in answer and "sessionToken" not in self._credentials:
            self._credentials["sessionToken"] = answer["token"]
            self._house.secrets.append(answer["token"])


async def test_every_example_is_answered_as_the_description_says(gateway: Gateway) -> None:
    described = (await gateway.http.get("/openapi.json")).json()
    operator = await gateway.new_operator()
    admin = await gateway.new_key(operator.operator_id, scope="admin")
    sender = Sender(gateway, described, admin, await gateway.platform_key())
    sent = 0
    for path, verb, operation in in_order(described):
        response = await sender.send(path, verb, operation)
        name = operation["operationId"]
        while name == "operatorTestWebhook" and response.status_code == 503:  # nobody has sent it in time
            response = await sender.send(path, verb, operation)
        if name in REFUSED:
            assert response.json()["code"] == REFUSED[name], f"{name}: {response.text}"
        else:
            assert response.is_success, f"{name}: {response.text}"
        sent += 1
    assert sent > 20
