"""Looks at a page in every state: axe-core finds nothing, light and dark, narrow and wide."""

from typing import Final

from axe_playwright_python.base import AXE_SCRIPT, AxeResults
from playwright.async_api import Page, ViewportSize

from tests.browser.conftest import Screenshots

NARROW: Final[ViewportSize] = {"width": 320, "height": 720}
WIDE: Final[ViewportSize] = {"width": 1100, "height": 800}
RULES_LEAST: Final = 15
# Every rule of WCAG 2.2 up to AA, and of good practice; none is off.
TAGS: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
# Of a rule that holds it names one element: to name each of a large page takes longer than to look at it.
OPTIONS: Final = {"runOnly": {"type": "tag", "values": [*TAGS]}, "resultTypes": ["violations"]}


class Looks:
    """Looks at a page in both schemes and widths."""

    def __init__(
        self, page: Page, screenshots: Screenshots, *, of: str = "player", folder: str = "game"
    ) -> None:
        self.page, self.screenshots, self.of, self.folder = page, screenshots, of, folder

    async def found(self) -> AxeResults:
        """What axe-core finds on the page as it is, once its stylesheets have come: its text is earlier."""
        await self.page.wait_for_load_state()
        if not await self.page.evaluate("'axe' in window"):
            # Half a megabyte, which the library would send and compile for each look at the same page.
            await self.page.evaluate(AXE_SCRIPT)
        return AxeResults(await self.page.evaluate("(options) => axe.run(options)", OPTIONS))

    async def at(self, state: str) -> None:
        for scheme in ("light", "dark"):
            await self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            for width, size in (("narrow", NARROW), ("wide", WIDE)):
                await self.page.set_viewport_size(size)
                found = await self.found()
                assert len(found.response["passes"]) > RULES_LEAST, "axe-core has not looked"
                assert found.violations_count == 0, (state, scheme, width, found.generate_report())
                assert await self.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
                if (scheme, width) in (("light", "narrow"), ("dark", "wide")):
                    await self.screenshots.take(self.page, f"{self.folder}/{self.of}-{state}-{width}.png")
