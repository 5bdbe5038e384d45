"""What a session tells its game's page: the language, the device, where links lead; and the launch URL."""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal
from urllib.parse import urlencode, urlsplit

from pydantic import AfterValidator, Field, StringConstraints

from api.gateway.schemas import StrictModel
from contracts.countries import COUNTRIES
from runtime.listening import is_loopback

# RFC 5646, `langtag`: language, script, region, variants, extensions, private use.
LANGUAGE_TAG: Final = (
    r"^[A-Za-z]{2,3}(-[A-Za-z]{3}){0,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?"
    r"(-([A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*(-[0-9A-WY-Za-wy-z](-[A-Za-z0-9]{2,8})+)*(-[xX](-[A-Za-z0-9]{1,8})+)?$"
)
LONGEST_LANGUAGE: Final = 35  # what RFC 5646, 4.4.1 asks of whoever limits them
# Three of them, escaped, and the game client's own address stay below what servers take as a request's line.
LONGEST_LINK: Final = 512
NOT_A_LINK: Final = (
    "a URL that begins with https://, or with http:// of this machine, without a user or a space"
)


def _leads_somewhere_safe(url: str) -> str:
    """A game's page makes it a link: no other scheme may run there, and nothing on the way may read it."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # reading it is what checks it
    except ValueError:
        raise ValueError(NOT_A_LINK) from None
    trusted = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    # Browsers read `\\` as `/`: the host that was checked would not be the one that is opened.
    written = re.fullmatch(r"[!-\[\]-~]+", url)
    if not trusted or not parts.hostname or "@" in parts.netloc or not written:
        raise ValueError(NOT_A_LINK)
    return url


def _known(country: str) -> str:
    if country not in COUNTRIES:
        raise ValueError("a country of ISO 3166-1, as two capital letters such as AT")
    return country


Link = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONGEST_LINK),
    AfterValidator(_leads_somewhere_safe),
    Field(json_schema_extra={"format": "uri"}),
]
Language = Annotated[str, StringConstraints(pattern=LANGUAGE_TAG, max_length=LONGEST_LANGUAGE)]
Country = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Z]{2}$"),
    AfterValidator(_known),
    Field(json_schema_extra={"enum": sorted(COUNTRIES)}),
]


class Told(StrictModel):
    """What goes into the launch URL beside the game; only what is given."""

    lang: Language | None = None
    device: Literal["desktop", "mobile"] | None = None
    country: Country | None = None
    lobby_url: Link | None = None
    deposit_url: Link | None = None
    history_url: Link | None = None

    def told(self) -> dict[str, str]:
        return {name: value for name in Told.model_fields if (value := getattr(self, name)) is not None}


def launch_url(client_url: str, *, game_id: str, token: str, told: Mapping[str, str]) -> str:
    """The game client's own query stays as it is, but for what the session says itself; the game comes after
    it, and then what the session tells. The token is in the fragment, which no server sees."""
    parts = urlsplit(client_url)
    own = [piece for piece in parts.query.split("&") if piece and piece.partition("=")[0] not in told]
    query = "&".join([*own, urlencode({"game": game_id, **told})])
    return parts._replace(query=query, fragment=urlencode({"token": token})).geturl()
