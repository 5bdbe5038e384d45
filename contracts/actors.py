"""How records name who acts: the one place where those names are made."""

import hashlib
from typing import Final

# Characters. What is longer has a hash of the whole in its end.
ACTOR_LIMIT: Final = 100
_HASH_SHOWN: Final = 16


def by_key(key_id: str) -> str:
    """Whoever has an API key."""
    return f"key:{key_id}"


def by_platform(key_id: str) -> str:
    """Whoever runs the casino, with an API key of the platform."""
    return f"platform:{key_id}"


def by_command_line(user: str) -> str:
    """Whoever uses the command line, by their account on that machine."""
    return f"cli:{user}"[:ACTOR_LIMIT]


def by_person(subject: str) -> str:
    """A person, by the issuer's own id for them. One that is long, or cannot be shown on one line, is cut to
    what can, with a hash of the whole, so that no two people share a name."""
    name = f"oidc:{subject}"
    if len(name) <= ACTOR_LIMIT and name.isprintable() and " " not in name:
        return name
    shown = "".join(letter if letter.isprintable() and letter != " " else "?" for letter in name)
    digest = hashlib.sha256(subject.encode(errors="surrogatepass")).hexdigest()[:_HASH_SHOWN]
    return f"{shown[: ACTOR_LIMIT - _HASH_SHOWN - 1]}~{digest}"
