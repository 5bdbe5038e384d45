"""Addresses as others write them."""

import pytest

from runtime.addresses import origin_of


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://games.example/play?lobby=red", "https://games.example"),
        ("https://Games.Example:443/play", "https://games.example"),
        ("http://games.example:80", "http://games.example"),
        ("http://games.example:8080/play", "http://games.example:8080"),
        ("https://user:word@games.example/play", "https://games.example"),
        ("http://[::1]:8080/play", "http://[::1]:8080"),
    ],
)
def test_an_origin_is_what_a_browser_sends(url: str, origin: str) -> None:
    assert origin_of(url) == origin
