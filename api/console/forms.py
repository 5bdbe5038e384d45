"""What a browser posts: a small form, of one of our own pages."""

import asyncio
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from contracts.interventions import REASON_LIMIT
from contracts.texts import is_one_line

FORM_LIMIT_BYTES: Final = 16 * 1024
FORM_LIMIT_S: Final = 20.0
FIELDS_LIMIT: Final = 20

REASON_WANTED: Final = (
    f"Give a reason, in one line of at most {REASON_LIMIT} characters: it is kept for good."
)

Form = dict[str, str]


class FormRefused(Exception):
    """Why a form is not taken, for people, with its HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


async def posted(request: Request) -> Form:
    """The form's fields, when a page of this very address has posted it. Raises FormRefused."""
    host = request.headers.get("host")
    if not host or request.headers.get("origin") not in (f"http://{host}", f"https://{host}"):
        raise FormRefused(403, "This form was not sent by a page of the console. Open the page again.")
    body = bytearray()
    try:
        async with asyncio.timeout(FORM_LIMIT_S):
            async for part in request.stream():
                body += part
                if len(body) > FORM_LIMIT_BYTES:
                    raise FormRefused(413, "The form is too large.")
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS_LIMIT))
    except TimeoutError:
        raise FormRefused(408, "The form did not arrive in time. Send it again.") from None
    except (ClientDisconnect, ValueError):
        raise FormRefused(400, "The form did not arrive whole. Send it again.") from None


def reason_of(form: Form) -> str | None:
    """Why it is done; None where that is not said, or not in one line that the API takes."""
    reason = form.get("reason", "").strip()
    return reason if len(reason) <= REASON_LIMIT and is_one_line(reason) else None
