"""Addresses as others write them."""

from typing import Any

import pytest
from pydantic import ValidationError

from runtime.addresses import origin_of
from runtime.settings import Settings

ORIGINS = ("codec_origins", "game_client_origins", "frame_origins")


def set_to(setting: str, value: Any) -> Settings:
    values: dict[str, Any] = {setting: value}
    return Settings(**values)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://games.example/play?lobby=red", "https://games.example"),
        ("https://Games.Example:443/play", "https://games.example"),
        ("http://games.example:80", "http://games.example"),
        ("http://games.example:8080/play", "http://games.example:8080"),
        ("https://user:word@games.example/play", "https://games.example"),
        ("http://[::1]:8080/play", "http://[::1]:8080"),
        ("http://[0:0::1]:80/play", "http://[::1]"),
        ("http://[::ffff:10.0.0.1]/play", "http://[::ffff:a00:1]"),
        ("https://Spiele.B\u00dccher.example/play", "https://spiele.xn--bcher-kva.example"),
        ("http://127.1:8000/", "http://127.0.0.1:8000"),
    ],
)
def test_an_origin_is_what_a_browser_sends(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    "origin",
    ["https://a.example", "http://a.example:8080", "http://127.0.0.1:8080", "https://x_y.example"],
)
@pytest.mark.parametrize("setting", ORIGINS)
def test_a_setting_takes_an_origin_as_browsers_send_it(setting: str, origin: str) -> None:
    assert getattr(set_to(setting, origin), setting) == (origin,)


@pytest.mark.parametrize(
    ("origin", "sent"),
    [
        ("https://a.example:443", "https://a.example"),
        ("http://a.example:80", "http://a.example"),
        ("http://a.example:0443", "http://a.example:443"),
        ("https://a.example:", "https://a.example"),
        ("https://Casino.Example", "https://casino.example"),
        ("HTTPS://a.example", "https://a.example"),
        ("https://b\u00fccher.example", "https://xn--bcher-kva.example"),
        ("http://127.1", "http://127.0.0.1"),
        ("http://[0:0::1]:8000", "http://[::1]:8000"),
    ],
)
@pytest.mark.parametrize("setting", ORIGINS)
def test_one_that_no_browser_sends_is_refused_with_the_one_that_they_do(
    setting: str, origin: str, sent: str
) -> None:
    with pytest.raises(ValidationError, match="browsers write this origin ") as refused:
        set_to(setting, origin)
    assert f" {sent}: write it so" in str(refused.value)


@pytest.mark.parametrize(
    "origin",
    [
        *("https://a.example:99999", "https://a.example:0", "https://a.example:x", "https://a.example:-1"),
        *("https://a b.example", "https://a.example\\", "https://u:p@a.example", "https://a.example?"),
        *("https://1.2.3.999", "https://[::g]", "https://[fe80::1%25eth0]", "https://", "https://:8080"),
        *("https://\u2028.example", "https://%61.example", "https://*.example", "null"),
    ],
)
@pytest.mark.parametrize("setting", ORIGINS)
def test_what_is_no_origin_at_all_is_refused(setting: str, origin: str) -> None:
    with pytest.raises(ValidationError, match="each origin is a scheme, a host and a port alone"):
        set_to(setting, (origin,))


def test_a_page_that_no_policy_can_name_frames_nothing() -> None:
    with pytest.raises(ValidationError, match="no page policy can name an IPv6 address"):
        set_to("frame_origins", "http://[::1]:8000")
