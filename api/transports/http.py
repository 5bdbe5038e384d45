"""HTTP's way to the calls that it shares with sockets and the queue."""

from fastapi.responses import JSONResponse

from api.gateway.caller import Reply


def respond(reply: Reply) -> JSONResponse:
    """The reply as HTTP gives it."""
    return JSONResponse(reply.body, reply.status, headers=reply.headers)
