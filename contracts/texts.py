"""Texts that people write, and that others read in terminals, lists and pages: one line."""

import re
from typing import Final

_SPACES: Final = r" \xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
# What a terminal would obey, what ends a line, and what nobody sees but changes how the rest is shown.
_UNSEEN: Final = (
    r"\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
)


def _of_one_line(unseen: str) -> str:
    return f"^[{_SPACES}]*[^{_SPACES}{unseen}][^{unseen}]*$"


# In the syntax that Python and JSON Schema share: the API's description says exactly what is asked for.
ONE_LINE: Final = _of_one_line(_UNSEEN)
# JSON has no half of a pair of surrogates; a command line has, for bytes that are no UTF-8.
_ONE_LINE: Final = re.compile(_of_one_line(_UNSEEN + r"\ud800-\udfff").removesuffix("$"))


def is_one_line(text: str) -> bool:
    """Whether there is something to read in it, and nothing that cannot be seen."""
    return _ONE_LINE.fullmatch(text) is not None
