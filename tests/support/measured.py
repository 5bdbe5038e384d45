"""The metrics of ours that the reference describes."""

import re
from typing import Final

from runtime.settings import PROJECT_ROOT

MEASURED: Final = {
    name
    for page in (PROJECT_ROOT / "docs/reference").glob("metrics*.md")
    for name in re.findall(r"\| `(croupier_\w+)", page.read_text(encoding="utf-8"))
}
