"""A web server of a folder on the loopback, which counts requests and can be made to fail."""

import re
import socket
import struct
import threading
import time
from collections import defaultdict, deque
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

CODES = {403: "AccessDenied", 404: "NoSuchKey", 500: "InternalError", 503: "SlowDown"}
"""As S3 has them, which is this server too, for who only reads: the first folder is the bucket."""


class Server(ThreadingHTTPServer):
    """Serves the files of a folder, whole or by range.

    ``faults`` of a path are used up one by one: a status; ``"reset"``: the connection breaks; ``"cut"``: half of the
    body comes; ``"silent"``: nothing comes; ``"whole"``: the range is not looked at; ``"endless"``: 1 GB comes.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.faults: dict[str, deque] = defaultdict(deque)
        self.status_of_absent = 404
        self.delay = 0.0
        self.needs: tuple[str, str] = ("", "")
        self.forget()

    def forget(self) -> None:
        self.requests: list[str] = []
        self.signed, self.sent = False, 0
        self.under_way = self.most = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def asked(self, part: str = "", method: str = "GET") -> list[str]:
        """Paths that were requested, each as often as it was."""
        return [path for kind, path in map(str.split, self.requests) if kind == method and part in path]

    def handle_error(self, *_) -> None:
        """A client may go away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        server = self.server
        server.under_way += 1
        server.most = max(server.most, server.under_way)
        try:
            time.sleep(server.delay)
            self._answer()
        finally:
            server.under_way -= 1

    def _answer(self) -> None:
        where = urlsplit(self.path)
        path = unquote(where.path).strip("/")
        self.server.requests.append(f"{self.command} {path}")
        self.server.signed |= "AWS4" in self.headers.get("Authorization", "")
        name, needed = self.server.needs
        given = where.query if name == "query" else self.headers.get(name)
        fault = self.server.faults[path].popleft() if self.server.faults[path] else None
        if name and given != needed:
            fault = 403
        file = self.server.folder / path
        if fault is None and not file.is_file():
            fault = self.server.status_of_absent
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        elif fault == "silent":
            time.sleep(60)
        elif fault == "endless":
            self._send_endless()
        elif isinstance(fault, tuple):
            self._send(fault[0], b"", Location=fault[1])
        elif isinstance(fault, int):
            self._send(fault, f"<Error><Code>{CODES.get(fault)}</Code></Error>{' ' * 9999}".encode())
        else:
            self._send_file(file, fault)

    def _send_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        for _ in range(1000):
            self.wfile.write(bytes(1_000_000))
            self.server.sent += 1_000_000

    def _send_file(self, file: Path, fault: str | None) -> None:
        content, status = file.read_bytes(), 200
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if found and fault != "whole":
            first, last = found.groups()
            status, size = 206, len(content)
            content = (
                content[int(first) : int(last) + 1 if last else None] if first else content[-int(last) :]
            )
            assert len(content) <= size
        modified = formatdate(file.stat().st_mtime, usegmt=True)
        self._send(status, content, cut=fault == "cut", **{"Last-Modified": modified})

    def _send(self, status: int, content: bytes, *, cut: bool = False, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.close_connection = True

    def log_message(self, *_) -> None:
        """Nothing."""


def serving(folder: Path):
    """A server in a thread, until the generator is closed."""
    server = Server(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
