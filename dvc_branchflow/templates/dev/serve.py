"""Decides what the model answers over HTTP: GET /health, POST /predict with a JSON list of rows."""

from __future__ import annotations

import argparse
import json
import traceback
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any, cast

from src.shipped import Shipped

MAX_BODY_BYTES = 1 << 20


class RequestError(Exception):
    """A request that gets no answer but this status and line."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Log:
    """Appends what was asked and answered to a file, as `git branchflow monitor log` reads it.

    A row may bring a `request_id`, and for an experiment its `unit`, `experiment` and `group`.
    """

    OWN = ("request_id", "unit", "experiment", "group")

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = Lock()

    def write(self, shipped: Shipped, rows: list[Any], predictions: list[Any]) -> None:
        """Write a line for each row, with its features as the model saw them."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        seen = shipped.features(rows).astype(object)
        features = seen.where(seen.notna(), None).to_dict("records")
        lines = []
        for row, read, prediction in zip(rows, features, predictions, strict=True):
            own = {name: row[name] for name in self.OWN if name in row}
            line = read | {"request_id": uuid.uuid4().hex} | own
            line |= {"time": now, "tag": shipped.tag, "prediction": prediction}
            lines.append(json.dumps(line) + "\n")
        with self.lock, open(self.path, "a", encoding="utf-8") as file:  # noqa: PTH123
            file.write("".join(lines))


class Server(ThreadingHTTPServer):
    """Holds the model, the tag that it was released under, and where requests are logged."""

    def __init__(self, host: str, port: int, log: str = "") -> None:
        self.shipped = Shipped()
        self.log = Log(log) if log else None
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
        """Read rows from the body and answer with a prediction each."""
        server = cast("Server", self.server)
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise RequestError(411, "Content-Length must say how long the body is")
        if len(length) > 9 or int(length) > MAX_BODY_BYTES:
            raise RequestError(413, f"the body is longer than {MAX_BODY_BYTES} bytes")
        try:
            rows = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise RequestError(400, "the body is no JSON") from error
        try:
            predictions = server.shipped.predict(rows)
        except ValueError as error:
            raise RequestError(422, str(error)) from error
        if server.log and predictions:
            server.log.write(server.shipped, rows, predictions)
        return {"tag": server.shipped.tag, "predictions": predictions}

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
    parser.add_argument("--log", default="", metavar="FILE", help="append requests and answers")
    options = parser.parse_args()
    with Server(options.host, options.port, options.log) as server:
        name = server.shipped.tag or "a model without a tag"
        print(f"serving {name} on port {server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
