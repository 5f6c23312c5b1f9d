"""Decides what the model answers over HTTP: GET /health, POST /predict?name=… with a file."""

from __future__ import annotations

import argparse
import json
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from src.shipped import Shipped

MAX_BODY_BYTES = 1 << 24


class RequestError(Exception):
    """A request that gets no answer but this status and line."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Server(ThreadingHTTPServer):
    """Holds the model, and the tag that it was released under."""

    def __init__(self, host: str, port: int) -> None:
        self.shipped = Shipped()
        super().__init__((host, port), Handler)


class Handler(BaseHTTPRequestHandler):
    """Answers in one line of JSON, errors as well."""

    timeout = 10  # seconds that a caller may be silent

    def do_GET(self) -> None:
        """Say that the server lives, and which model it holds."""
        self.answer("/health", self.health)

    def do_POST(self) -> None:
        """Predict."""
        self.answer("/predict", self.predict)

    def health(self) -> dict[str, Any]:
        """Name the model."""
        server = cast("Server", self.server)
        shipped = server.shipped
        return {"model": shipped.card["model"], "tag": shipped.tag, "sha256": shipped.sha256}

    def predict(self) -> dict[str, Any]:
        """Read a file from the body and answer with its label."""
        server = cast("Server", self.server)
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise RequestError(411, "Content-Length must say how long the body is")
        if len(length) > 9 or int(length) > MAX_BODY_BYTES:
            raise RequestError(413, f"the body is longer than {MAX_BODY_BYTES} bytes")
        name = parse_qs(urlsplit(self.path).query).get("name", [""])[0]
        if not name:
            raise RequestError(400, "say /predict?name=NAME: its extension says what the file is")
        try:
            label, chance = server.shipped.predict(name, self.rfile.read(int(length)))
        except ValueError as error:
            raise RequestError(422, str(error)) from error
        return {"tag": server.shipped.tag, "label": label, "probability": round(chance, 6)}

    def answer(self, path: str, act: Callable[[], dict[str, Any]]) -> None:
        """Send what `act` returns, or why it can't."""
        if self.path.partition("?")[0] != path:
            self.send(404, {"error": "there is GET /health and POST /predict"})
            return
        try:
            self.send(200, act())
        except RequestError as error:
            self.send(error.status, {"error": str(error)})
        except Exception:  # noqa: BLE001 - whatever fails, the caller gets an answer
            traceback.print_exc()
            self.send(500, {"error": "the server failed; its log says how"})

    def send(self, status: int, content: dict[str, Any]) -> None:
        """Send one line of JSON."""
        line = json.dumps(content).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(line)))
        self.end_headers()
        self.wfile.write(line)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what never reached a method in the same form."""
        self.send(code, {"error": message or explain or "bad request"})


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description="Serve the released model over HTTP.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    with Server(options.host, options.port) as server:
        name = server.shipped.tag or "a model without a tag"
        print(f"serving {name} on port {server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
