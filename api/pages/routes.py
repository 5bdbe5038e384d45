"""Pages for people: documents at their addresses, and the files that they load. No session, no database."""

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.gateway.problems import Problem
from api.pages import files as page_files
from api.pages.files import ASSET_CSP, ASSETS, PAGES, File, Page
from api.services import Services

# No page is shown from a cache that was not asked whether it is still so: an upgrade shows at once.
HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

router = APIRouter(include_in_schema=False)


def _page_route(page: Page) -> Callable[[Request], Awaitable[Response]]:
    async def page_of_people(request: Request) -> Response:
        return page_answer(request, page)

    return page_of_people


for address, page in PAGES.items():
    router.add_api_route(address, _page_route(page))


@router.get(f"{ASSETS}/{{path:path}}")
async def asset(path: str, request: Request) -> Response:
    """A style sheet, module or drawing."""
    if path.endswith(".html"):  # each has an address of its own, and its policy there
        raise Problem("not-found", "There is no such file.")
    return _answer(request, path, ASSET_CSP)


def page_answer(request: Request, page: Page) -> Response:
    """The document, under its policy."""
    services: Services = request.app.state.services
    places = page_files.places(services.frame_origins, services.game_client_url)
    return _answer(request, page.html, page.csp(places))


def _answer(request: Request, path: str, csp: str) -> Response:
    files: dict[str, File] = request.app.state.pages
    file = files.get(path)
    if file is None:
        raise Problem("not-found", "There is no such file.")
    headers = {**HEADERS, "ETag": file.etag, "Content-Security-Policy": csp}
    known = request.headers.get("if-none-match", "")
    if known == "*" or file.etag.removeprefix("W/") in known:
        return Response(status_code=304, headers=headers)
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(file.body, headers=headers, media_type=file.media_type)
    headers["Content-Encoding"] = "gzip"
    return Response(file.zipped, headers=headers, media_type=file.media_type)
