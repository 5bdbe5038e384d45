"""axe-core in a page: what people with disabilities could not use, by WCAG 2.2 AA, no rule off."""

from importlib.resources import files
from typing import Final

from playwright.async_api import Page

SCRIPT: Final = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
STANDARD: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


async def violations(page: Page) -> list[str]:
    """One line each: the rule, and the elements that break it. Frames are pages of their own: ask each."""
    # By the debugger, which no page's policy keeps out, and not as a script element, which it does.
    await page.evaluate(f"() => {{ {SCRIPT} }}")
    found = await page.evaluate(
        "(tags) => axe.run(document, { runOnly: tags, iframes: false })", list(STANDARD)
    )
    return [
        f"{broken['id']}: {', '.join(str(node['target']) for node in broken['nodes'])}"
        for broken in found["violations"]
    ]
