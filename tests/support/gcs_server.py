"""Google's storage on this machine: PORT BUCKET KEY_FILE; it writes the key that it lets in.

`gcp-storage-emulator` speaks the JSON API, which DVC's plugin uses. The XML API, which obstore uses,
is added here over the same objects: https://cloud.google.com/storage/docs/xml-api/overview.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import sys
import threading
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers.buckets import create_bucket
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage

HOST = "127.0.0.1"
TOKEN = secrets.token_hex(8)  # for clients that trade their key for one, as DVC's does
KEY_ID = secrets.token_hex(8)  # obstore signs its own tokens
LOCK = threading.Lock()
UPLOADS: dict[str, dict[int, bytes]] = {}


def write_key(path: Path, token_uri: str) -> None:
    """Write a service account's key file."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account", "project_id": "tests", "private_key_id": KEY_ID,
        "private_key": text.decode(), "client_email": "tests@tests.example", "client_id": "1",
        "token_uri": token_uri,
    }  # fmt: skip
    path.write_text(json.dumps(account))


class Handler(RequestHandler):
    """The emulator's own requests, and those of the XML API."""

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        path = urlsplit(self.path).path
        if path == "/token":
            self._answer(
                HTTPStatus.OK,
                json.dumps({"access_token": TOKEN, "expires_in": 3600}).encode(),
                **{"Content-Type": "application/json"},
            )
            return False
        if not self._is_let_in():
            self._answer(HTTPStatus.UNAUTHORIZED)
            return False
        if path.startswith(("/storage/", "/upload/", "/download/", "/batch", "/b/")):
            with LOCK:
                getattr(self, f"do_{self.command}")()
        else:
            self.bucket, _, key = path.removeprefix("/").partition("/")
            self.key = unquote(key)
            self.asked = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with LOCK:
                try:
                    getattr(self, f"xml_{self.command.lower()}")(body)
                except NotFound:
                    self._answer(HTTPStatus.NOT_FOUND)
        return False

    def xml_get(self, _body: bytes, *, is_head: bool = False) -> None:
        if not self.key:
            self._list()
            return
        content = self.storage.get_file(self.bucket, self.key, show_error=False)
        described = self._described()
        status = HTTPStatus.OK
        if "Range" in self.headers:
            first, last = (int(n) for n in self.headers["Range"].removeprefix("bytes=").split("-"))
            described["Content-Range"] = (
                f"bytes {first}-{min(last, len(content) - 1)}/{len(content)}"
            )
            content, status = content[first : last + 1], HTTPStatus.PARTIAL_CONTENT
            if not content:
                status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        self._answer(status, content, is_head=is_head, **described)

    def xml_head(self, body: bytes) -> None:
        self.xml_get(body, is_head=True)

    def xml_put(self, body: bytes) -> None:
        if "uploadId" in self.asked:
            UPLOADS[self.asked["uploadId"][0]][int(self.asked["partNumber"][0])] = body
            self._answer(HTTPStatus.OK, ETag=f'"{hashlib.md5(body).hexdigest()}"')
            return
        has_it = self.key in self.storage.objects.get(self.bucket, {})
        if has_it and self.headers.get("x-goog-if-generation-match") == "0":
            self._answer(HTTPStatus.PRECONDITION_FAILED)
            return
        if "x-goog-copy-source" in self.headers:
            bucket, _, key = unquote(self.headers["x-goog-copy-source"]).partition("/")
            body = self.storage.get_file(bucket, key, show_error=False)
        self._store(body)
        self._answer(HTTPStatus.OK, **self._described())

    def xml_post(self, _body: bytes) -> None:
        if "uploads" in self.asked:
            name = secrets.token_hex(8)
            UPLOADS[name] = {}
            self._answer(
                HTTPStatus.OK,
                _xml("InitiateMultipartUploadResult", f"<UploadId>{name}</UploadId>"),
            )
            return
        parts = UPLOADS.pop(self.asked["uploadId"][0])
        self._store(b"".join(parts[number] for number in sorted(parts)))
        etag = f"<ETag>{self._described()['ETag']}</ETag>"
        self._answer(HTTPStatus.OK, _xml("CompleteMultipartUploadResult", etag))

    def xml_delete(self, _body: bytes) -> None:
        is_there = self.storage.delete_file(self.bucket, self.key)
        self._answer(HTTPStatus.NOT_FOUND if is_there is False else HTTPStatus.NO_CONTENT)

    def _list(self) -> None:
        found, _ = self.storage.get_file_list(self.bucket, self.asked.get("prefix", [""])[0])
        items = "".join(
            f"<Contents><Key>{escape(one['name'])}</Key><LastModified>{one['updated']}"
            f"</LastModified><ETag>{_etag(one)}</ETag><Size>{one['size']}</Size></Contents>"
            for one in found
        )
        more = f"<IsTruncated>false</IsTruncated><KeyCount>{len(found)}</KeyCount>"
        self._answer(HTTPStatus.OK, _xml("ListBucketResult", more + items))

    def _store(self, content: bytes) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        digest = base64.b64encode(hashlib.md5(content).digest()).decode()
        described = {
            "kind": "storage#object", "name": self.key, "bucket": self.bucket, "md5Hash": digest,
            "size": str(len(content)), "updated": now, "timeCreated": now, "etag": digest,
            "generation": "1", "metageneration": "1", "contentType": "application/octet-stream",
        }  # fmt: skip
        self.storage.create_file(self.bucket, self.key, content, {**described, "crc32c": None})

    def _described(self) -> dict[str, str]:
        found = self.storage.get_file_obj(self.bucket, self.key)
        updated = datetime.fromisoformat(found["updated"])
        return {"ETag": _etag(found), "Last-Modified": format_datetime(updated, usegmt=True)}

    def _is_let_in(self) -> bool:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token == TOKEN:
            return True
        head = token.partition(".")[0]
        try:
            said = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
        except ValueError:
            return False
        return bool(said.get("kid") == KEY_ID)

    def _answer(
        self, status: HTTPStatus, body: bytes = b"", *, is_head: bool = False, **headers: str
    ) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if not is_head:
            self.wfile.write(body)


def _etag(described: dict[str, str]) -> str:
    return f'"{base64.b64decode(described["md5Hash"]).hex()}"'


def _xml(name: str, inner: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?><{name}>{inner}</{name}>'.encode()


def serve(port: int, bucket: str, key_file: Path) -> None:
    storage = Storage(use_memory_fs=True)
    create_bucket(bucket, storage)
    write_key(key_file, f"http://{HOST}:{port}/token")
    ThreadingHTTPServer((HOST, port), partial(Handler, storage)).serve_forever()


serve(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
