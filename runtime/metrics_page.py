"""The page that Prometheus reads of a program: our own metrics and those of the Temporal SDK."""

import socket
import socketserver
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, disable_created_metrics, generate_latest

from runtime.program_metrics import show_build
from runtime.sdk_metrics import OF_THIS_PROCESS

HEADERS: Final = [("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)]


def serve(host: str, port: int) -> None:
    """Answers in threads of its own, for as long as the process lives. Raises OSError when the port is in
    use."""
    # A sample for each series that says when it began: twice the lines, and no rule reads them.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    show_build()
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    server = make_server(str(address[0]), port, page, _server(family), handler_class=_Silent)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


def page(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The WSGI application. The SDK's page has Prometheus' plain form, so ours has it too, whatever is
    accepted."""
    if environ["REQUEST_METHOD"] != "GET":
        start_response("405 Method Not Allowed", [("Allow", "GET")])
        return []
    start_response("200 OK", HEADERS)
    return [generate_latest(), OF_THIS_PROCESS.page()]


def _server(family: socket.AddressFamily) -> type[WSGIServer]:
    class Server(socketserver.ThreadingMixIn, WSGIServer):
        address_family = family
        daemon_threads = True

    return Server


class _Silent(WSGIRequestHandler):
    """Logs no request."""

    def log_message(self, format: str, *args: Any) -> None:
        pass
