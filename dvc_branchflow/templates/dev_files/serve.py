"""Decides what the model answers over HTTP: GET /health, POST /predict?name=… with a file."""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from src.experiment import Experiment, MisdirectedError
from src.log import Log
from src.shipped import Shipped

MAX_BODY_BYTES = 1 << 24


class RequestError(Exception):
    """A request that gets no answer but this status and line."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Server(ThreadingHTTPServer):
    """Holds the model, the tag that it was released under, and where requests are logged.

    With the name and the plan of an experiment, it answers the units of its own groups alone.
    """

    def __init__(
        self, host: str, port: int, *, log: str = "", experiment: tuple[str, str] | None = None
    ) -> None:
        self.shipped = Shipped()
        self.log = Log(log) if log else None
        self.experiment = Experiment(*experiment, self.shipped.tag) if experiment else None
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
        asked = dict(parse_qsl(urlsplit(self.path).query))
        if not asked.get("name"):
            raise RequestError(400, "say /predict?name=NAME: its extension says what the file is")
        content = self.rfile.read(int(length))
        shipped, experiment = server.shipped, server.experiment
        try:
            [assigned] = experiment.assigned([asked]) if experiment else [{}]
            label, chance = shipped.predict(asked["name"], content)
        except ValueError as error:
            raise RequestError(422, str(error)) from error
        chance = round(chance, 6)
        if server.log:
            answered = {"tag": shipped.tag, "prediction": label, "score": chance}
            server.log.write([asked], [assigned | answered])
        return {"tag": shipped.tag, "label": label, "probability": chance}

    def answer(self, path: str, act: Callable[[], dict[str, Any]]) -> None:
        """Send what `act` returns, or why it can't."""
        if self.path.partition("?")[0] != path:
            self.send(404, {"error": "there is GET /health and POST /predict"})
            return
        try:
            self.send(200, act())
        except RequestError as error:
            self.send(error.status, {"error": str(error)})
        except MisdirectedError as error:
            self.send(421, error.answer)
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
    parser.add_argument("--log", default="", metavar="FILE", help="append requests and answers")
    parser.add_argument(
        "--experiment",
        nargs=2,
        metavar=("NAME", "FILE"),
        help="answer the units of this release's groups alone, by the plan in experiment.yaml",
    )
    options = parser.parse_args()
    try:
        made = Server(options.host, options.port, log=options.log, experiment=options.experiment)
    except ValueError as error:
        sys.exit(f"error: {error}")
    with made as server:
        name = server.shipped.tag or "a model without a tag"
        print(f"serving {name} on port {server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
