"""HEAD wherever GET is: the same call, whose answer's body the server leaves out."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """Routes see GET. The server, which knows what was asked, sends no body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        asked = {**scope, "method": "GET"}

        async def answer(message: Message) -> None:
            if "route" in asked:  # by which answers are counted
                scope["route"] = asked["route"]
            await send(message)

        await self._app(asked, receive, answer)
