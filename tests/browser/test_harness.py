"""What a page reports of itself is noticed, and no page reaches another machine."""

from playwright.async_api import Browser

from tests.browser.conftest import Complaints, opened

PAGE = """
<script>
  console.log("all is well")
  console.error("said by the page")
  fetch("https://outside.example/news").then(() => document.title = "answered")
  setTimeout(() => { throw new Error("thrown by the page") })
</script>
"""


async def test_errors_of_a_page_and_calls_to_elsewhere_are_noticed(browser: Browser) -> None:
    complaints = Complaints()
    async with opened(browser, complaints) as page:
        await page.route(
            "http://localhost/page", lambda route: route.fulfill(body=PAGE, content_type="text/html")
        )
        await page.goto("http://localhost/page")
        await page.wait_for_function("document.title == 'answered'")
    assert len(complaints.errors) >= 2, complaints.errors
    assert any("said by the page" in found for found in complaints.errors)
    assert any("thrown by the page" in found for found in complaints.errors)
    assert not any("all is well" in found for found in complaints.errors)
    assert complaints.outside == {"outside.example"}
