"""How a list stands in a variable."""

import tomllib


def listed(text: str) -> tuple[str, ...]:
    """A list in a variable, which has only text: `a:A,b:B`, or as the settings file writes it,
    `["a:A", "b:B"]`. Raises ValueError."""
    if text.lstrip().startswith("["):
        try:
            (values,) = tomllib.loads(f"values = {text.strip()}").values()
        except ValueError:
            raise ValueError('a list is written a,b or ["a", "b"]') from None
        if not all(isinstance(value, str) for value in values):
            raise ValueError("each part of the list is a text")
        return tuple(values)
    return tuple(part.strip() for part in text.split(",") if part.strip())
