"""The codec server over HTTP: what it answers, what it refuses, and what it records."""

import asyncio
import base64
import json
import logging
import threading
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY
from temporalio.api.common.v1 import Payload

from api.codec.access import Access
from api.codec.app import BODY_LIMIT_BYTES, create_app
from api.codec.people import People
from security.payload_reader import PAYLOADS_LIMIT, Converted, PayloadReader
from security.payload_seal import PayloadSealer
from tests.support.conditions import HANG_S
from tests.unit.api.codec.parties import KEYRING, ORIGIN, PATH, body, encoded, values_of

PREFLIGHT = {
    "origin": ORIGIN,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,authorization-extras,content-type,x-namespace",
}


def refusals(reason: str) -> float:
    return REGISTRY.get_sample_value("croupier_codec_requests_refused_total", {"reason": reason}) or 0.0


async def test_what_is_encoded_is_decoded_again(
    codec: httpx.AsyncClient, support: dict[str, str], admin: dict[str, str]
) -> None:
    encoded_ = await codec.post("/encode", json=body({"stake": 100}, None), headers=admin)
    assert encoded_.status_code == 200
    assert encoded("stake")[:4] not in encoded_.text
    decoded = await codec.post("/decode", json=encoded_.json(), headers=support)
    assert decoded.headers["content-type"] == "application/json"
    assert decoded.headers["cache-control"] == "no-store"
    assert list(values_of(decoded)) == [{"stake": 100}, None]


async def test_sealing_is_for_the_scope_admin(codec: httpx.AsyncClient, support: dict[str, str]) -> None:
    """What is sealed here, programs believe."""
    refused = await codec.post("/encode", json=body(1), headers=support)
    assert (refused.status_code, refused.json()["error"][:22]) == (403, "Payloads are sealed fo")


class TestOrigins:
    async def test_a_preflight_of_the_web_interface_is_answered_without_a_token(
        self, codec: httpx.AsyncClient
    ) -> None:
        answer = await codec.options("/decode", headers=PREFLIGHT)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        allowed = {name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")}
        assert {"content-type", "x-namespace", "authorization", "authorization-extras"} <= allowed
        assert answer.headers["access-control-allow-methods"] == "POST"
        assert "access-control-allow-credentials" not in answer.headers
        assert "Origin" in answer.headers["vary"]

    async def test_its_page_may_read_answers_and_refusals(
        self, codec: httpx.AsyncClient, support: dict[str, str]
    ) -> None:
        for headers, status in ((support, 200), ({}, 401)):
            answer = await codec.post("/decode", json=body(1), headers={**headers, "origin": ORIGIN})
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == ORIGIN

    @pytest.mark.parametrize(
        "origin",
        [
            "https://temporal.example:443",
            "http://temporal.example",
            "https://temporal.example.evil",
            "https://evil",
            "null",
            "",
            "*",
            "https://TEMPORAL.example",
        ],
    )
    async def test_another_origin_gets_nothing_whatever_token_it_has(
        self, codec: httpx.AsyncClient, support: dict[str, str], origin: str
    ) -> None:
        before = refusals("origin")
        preflight = await codec.options("/decode", headers={**PREFLIGHT, "origin": origin})
        asked = await codec.post("/decode", json=body(1), headers={**support, "origin": origin})
        for answer in (preflight, asked):
            assert answer.status_code == 403
            assert not [name for name in answer.headers if name.startswith("access-control")]
        assert refusals("origin") == before + 2

    async def test_a_second_origin_beside_the_right_one_is_refused(
        self, codec: httpx.AsyncClient, support: dict[str, str]
    ) -> None:
        headers = [*support.items(), ("origin", ORIGIN), ("origin", "https://evil")]
        assert (await codec.post("/decode", json=body(1), headers=headers)).status_code == 403

    async def test_tools_that_are_no_browsers_send_none(
        self, codec: httpx.AsyncClient, support: dict[str, str]
    ) -> None:
        answer = await codec.post("/decode", json=body(1), headers=support)
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers


class TestBadInput:
    async def test_no_json_is_400(self, codec: httpx.AsyncClient, support: dict[str, str]) -> None:
        for content in (b"", b"no JSON", b"[]", b'{"payloads": 7}'):
            answer = await codec.post("/decode", content=content, headers=support)
            assert (answer.status_code, "proto3 JSON" in answer.json()["error"]) == (400, True)

    async def test_ten_megabytes_are_413_before_they_are_all_read(
        self, codec: httpx.AsyncClient, support: dict[str, str]
    ) -> None:
        sent = 0

        async def parts() -> AsyncIterator[bytes]:
            nonlocal sent
            for _ in range(160):
                sent += 65_536
                yield b" " * 65_536

        answer = await codec.post("/decode", content=parts(), headers=support)
        assert answer.status_code == 413
        assert "too large" in answer.json()["error"]
        assert sent <= BODY_LIMIT_BYTES + 65_536

    async def test_what_temporal_takes_in_one_message_is_taken(
        self, codec: httpx.AsyncClient, admin: dict[str, str]
    ) -> None:
        text = "x" * (2 * 1024 * 1024)
        sealed = await codec.post("/encode", json=body(text, text), headers=admin)
        decoded = await codec.post("/decode", content=sealed.content, headers=admin)
        assert list(values_of(decoded)) == [text, text]

    async def test_no_token_is_401_and_its_body_is_not_looked_at(self, codec: httpx.AsyncClient) -> None:
        for headers in ({}, {"authorization": "Basic YTpi"}, {"authorization": "Bearer "}):
            answer = await codec.post("/decode", content=b"no JSON", headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"

    async def test_a_token_of_no_kind_that_is_set_up_is_401(self, codec: httpx.AsyncClient) -> None:
        """Such as an API key where there is no database to look it up in."""
        for token in ("crk_0123456789abcdef_" + "x" * 43, "anything"):
            answer = await codec.post("/decode", json=body(1), headers={"authorization": f"Bearer {token}"})
            assert answer.status_code == 401

    async def test_more_payloads_than_a_history_has_are_413_however_small_they_are(
        self, codec: httpx.AsyncClient, admin: dict[str, str]
    ) -> None:
        before = refusals("too-large")
        for call in ("/decode", "/encode"):
            many: dict[str, Any] = {"payloads": [{}] * (PAYLOADS_LIMIT + 1)}
            answer = await codec.post(call, json=many, headers=admin)
            assert (answer.status_code, "10,000" in answer.json()["error"]) == (413, True)
        assert refusals("too-large") == before + 2
        answer = await codec.post("/decode", json={"payloads": [{}] * PAYLOADS_LIMIT}, headers=admin)
        assert answer.status_code == 200

    async def test_others_are_answered_while_payloads_are_opened(
        self, people: People, support: dict[str, str]
    ) -> None:
        opening, go_on = threading.Event(), threading.Event()

        class Slow(PayloadReader):
            def decode(self, body: bytes) -> Converted:
                opening.set()
                assert go_on.wait(HANG_S)
                return super().decode(body)

        app = create_app(Slow(KEYRING.payload), Access((people,), path=PATH), (ORIGIN,))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="https://codec.example") as http:
            first = asyncio.create_task(http.post("/decode", json=body(1), headers=support))
            assert await asyncio.to_thread(opening.wait, HANG_S)
            assert (await http.get("/decode")).status_code == 405
            assert not first.done()
            go_on.set()
            assert (await first).status_code == 200

    async def test_another_path_is_404_and_another_method_405(self, codec: httpx.AsyncClient) -> None:
        before = refusals("not-found"), refusals("method")
        paths = "/guessed/decode", "/decode/", "/", "/a/b/c", "/decode/../encode/x"
        for path in paths:
            answer = await codec.post(path, json=body(1))
            assert (answer.status_code, "post to /decode" in answer.json()["error"]) == (404, True)
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            answer = await codec.request(method, "/decode")
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert (refusals("not-found"), refusals("method")) == (before[0] + len(paths), before[1] + 4)

    async def test_a_key_of_another_installation_and_an_unknown_encoding_are_reasons_in_their_places(
        self, codec: httpx.AsyncClient, support: dict[str, str]
    ) -> None:
        metadata = {"encoding": encoded("binary/encrypted"), "encryption-key-id": encoded("payload-theirs")}
        asked = body("ours") | {}
        asked["payloads"] += [
            {"metadata": metadata, "data": encoded("x" * 40)},
            {"metadata": {"encoding": encoded("binary/zlib")}, "data": encoded("y")},
        ]
        answer = await codec.post("/decode", json=asked, headers=support)
        assert answer.status_code == 200
        ours, theirs, unknown = values_of(answer)
        assert ours == "ours"
        assert "no payload key 'payload-theirs'" in theirs["unreadable"]
        assert "encoding 'binary/zlib'" in unknown["unreadable"]


class TestThePathWithoutAToken:
    async def test_is_for_the_accounts_that_may_alone(self, codec: httpx.AsyncClient) -> None:
        """In this process there is no connection, so no account is known."""
        answer = await codec.post(f"/{PATH}/decode", json=body(1))
        assert answer.status_code == 403
        assert "without a token" in answer.json()["error"]


class TestTheRecord:
    async def test_says_who_had_how_many_of_which_namespace_and_never_what(
        self, codec: httpx.AsyncClient, support: dict[str, str], caplog: pytest.LogCaptureFixture
    ) -> None:
        sealed = PayloadSealer(KEYRING.payload).seal(
            Payload(metadata={"encoding": b"json/plain"}, data=json.dumps("CANARY-OF-A-PLAYER").encode())
        )
        asked = body("CANARY-IN-THE-CLEAR")
        asked["payloads"].append(
            {
                "metadata": {name: encoded(value.decode()) for name, value in sealed.metadata.items()},
                "data": base64.b64encode(sealed.data).decode(),
            }
        )
        assert logging.getLogger().getEffectiveLevel() == logging.WARNING, "it is written at any level"
        await codec.post("/decode", json=asked, headers={**support, "x-namespace": "croupier"})
        (line,) = [record.getMessage() for record in caplog.records if record.name == "croupier.codec.audit"]
        assert line == (
            "decode of 2 payloads of namespace croupier for subject 'anna' (support): 1 opened, 1 plain"
        )
        assert "CANARY" not in caplog.text
        assert support["authorization"].split()[1] not in caplog.text

    @pytest.mark.parametrize("namespace", ["two words", "x" * 300, "a\tb", "ünicode".encode()])
    async def test_repeats_no_namespace_that_is_none(
        self,
        codec: httpx.AsyncClient,
        support: dict[str, str],
        caplog: pytest.LogCaptureFixture,
        namespace: str | bytes,
    ) -> None:
        headers = [*support.items(), ("x-namespace", namespace)]
        await codec.post("/decode", json=body(1), headers=headers)  # type: ignore[arg-type]
        assert "of namespace - for" in caplog.text

    async def test_a_refusal_to_seal_is_recorded(
        self, codec: httpx.AsyncClient, support: dict[str, str], caplog: pytest.LogCaptureFixture
    ) -> None:
        await codec.post("/encode", json=body(1), headers=support)
        assert "refused to encode for subject 'anna' (support)" in caplog.text


async def test_what_is_opened_and_refused_is_counted_from_zero(
    codec: httpx.AsyncClient, support: dict[str, str]
) -> None:
    def opened() -> float:
        labels = {"call": "decode", "outcome": "plain"}
        found = REGISTRY.get_sample_value("croupier_codec_payloads_total", labels)
        assert found is not None
        return found

    before, refused = opened(), refusals("unauthenticated")
    await codec.post("/decode", json=body(1, 2, 3), headers=support)
    await codec.post("/decode", json=body(1))
    assert (opened(), refusals("unauthenticated")) == (before + 3, refused + 1)
    assert REGISTRY.get_sample_value("croupier_codec_requests_refused_total", {"reason": "slow"}) is not None
