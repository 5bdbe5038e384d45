"""What to do, in the words of a failure."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def explained(what_to_do: str, name: str) -> Iterator[None]:
    """Adds `what_to_do` to whatever is raised inside the block, with the path that the history is of."""
    try:
        yield
    except Exception as error:
        error.add_note(what_to_do.format(path=name.split(".")[0]))
        raise
