"""The committed files of `pages/`, read once when a process starts, and the policies of its documents."""

import gzip
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from runtime.settings import PROJECT_ROOT

ROOT: Final = PROJECT_ROOT / "pages"
ASSETS: Final = "/pages"
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}
# Nothing from elsewhere, nothing inline, nothing evaluated: a page is given tokens and money.
POLICY: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
}


@dataclass(frozen=True, slots=True)
class Page:
    """The document at an address of its own, `html` below `pages/`. `policy` replaces parts of POLICY,
    and may name places that settings choose."""

    html: str
    policy: Mapping[str, str]

    def csp(self, places: Mapping[str, str]) -> str:
        parts = (f"{name} {value.format_map(places)}" for name, value in {**POLICY, **self.policy}.items())
        return "; ".join(parts)


# A game is shown in frames: in those of our own pages, and of the casinos that settings name.
PAGES: Final = {
    "/play": Page("player/index.html", {"frame-ancestors": "{casinos}"}),
    "/docs": Page("reference/index.html", {}),
}
# Only where a setting opens it.
LOBBY: Final = Page("lobby/index.html", {"frame-src": "{game_client}"})
ASSET_CSP: Final = "default-src 'none'; sandbox"  # of a file that is opened alone


@dataclass(frozen=True, slots=True)
class File:
    """`etag` names the content, however it is encoded."""

    media_type: str
    body: bytes
    zipped: bytes
    etag: str


def places(frame_origins: Iterable[str], game_client_url: str) -> dict[str, str]:
    """What settings choose of the policies: who shows the game, and where it is."""
    return {
        "casinos": " ".join(("'self'", *frame_origins)),
        "game_client": " ".join(("'self'", *_source(game_client_url))),
    }


def _source(url: str) -> Iterator[str]:
    """Its origin, where a policy can name it: IPv6 has no place in one."""
    parts = urlsplit(url)
    if parts.scheme in ("http", "https") and not parts.netloc.startswith("["):
        yield f"{parts.scheme}://{parts.netloc}"


def read(root: Path = ROOT) -> dict[str, File]:
    """Every file of a known type below `root`, by its path there."""
    found = (path for path in sorted(root.rglob("*")) if path.is_file() and path.suffix in TYPES)
    return {path.relative_to(root).as_posix(): _file(path) for path in found}


def _file(path: Path) -> File:
    body = path.read_bytes()
    etag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
    return File(TYPES[path.suffix], body, gzip.compress(body, mtime=0), etag)
