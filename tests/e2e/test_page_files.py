"""Pages for people come with a strict policy, are revalidated, and are nothing but committed files."""

from typing import Any

import pytest

from api.pages.files import PAGES, TYPES, read
from tests.support.http import http_client

FORBIDDEN = ("unsafe-inline", "unsafe-eval", "http:", "https:", "data:")


@pytest.mark.parametrize("address", PAGES)
async def test_a_page_comes_with_a_strict_policy(platform: dict[str, Any], address: str) -> None:
    async with http_client(base_url=platform["base_url"]) as http:
        page = await http.get(address)
        head = await http.head(address)
    assert page.status_code == head.status_code == 200
    assert page.headers["content-type"] == TYPES[".html"]
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert not [word for word in FORBIDDEN if word in policy]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "<script>" not in page.text
    assert " style=" not in page.text
    assert head.content == b""


async def test_every_file_is_served_and_revalidated(platform: dict[str, Any]) -> None:
    async with http_client(base_url=platform["base_url"]) as http:
        for path, file in read().items():
            if path.endswith(".html"):
                continue
            answer = await http.get(f"/pages/{path}")
            assert (answer.status_code, answer.content) == (200, file.body), path
            assert answer.headers["content-encoding"] == "gzip"
            plain = await http.get(f"/pages/{path}", headers={"Accept-Encoding": "identity"})
            assert (plain.content, plain.headers.get("content-encoding")) == (file.body, None)
            again = await http.get(f"/pages/{path}", headers={"If-None-Match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        *("", "player", "player/", "player/index.html", "nothing.js", "../pyproject.toml"),
        *("%2e%2e/pyproject.toml", "shared/../../pyproject.toml", "shared/%00.css", "/etc/passwd"),
    ],
)
async def test_nothing_else_is(platform: dict[str, Any], path: str) -> None:
    async with http_client(base_url=platform["base_url"]) as http:
        answer = await http.get(f"{platform['base_url']}/pages/{path}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not-found"


async def test_a_page_takes_no_other_method(platform: dict[str, Any]) -> None:
    async with http_client(base_url=platform["base_url"]) as http:
        answer = await http.post("/play", json={})
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
