"""The server itself: HTTP on 127.0.0.1, a thread for each connection, gone when its `with` ends."""

import json
import os
import re
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from tests.loopback import query
from tests.loopback.faults import Fault, Faults, Planned
from tests.loopback.graphql import DeletedError, NotFoundError, Schema
from tests.loopback.state import Run, World

KEY = "local-" + "0" * 40
"""An API key of the form that the client accepts."""

_OPERATION = re.compile(r"\b(?:query|mutation)\s+(\w+)")
_RESET = struct.pack("ii", 1, 0)


@dataclass
class Request:
    """One request as it came: the GraphQL operation's name, `file_stream`, `upload` or `download`; what it carried and met."""

    kind: str
    sent: dict[str, Any] = field(repr=False)
    status: int | None = None
    refusal: str | None = None
    fault: Fault | None = None


class Server:
    """`with Server() as server:` listens on a free port.

    `world` is what it knows, `faults` what it does wrong on demand, `requests` what it was asked, `refused` what it had no answer to.
    `instead` are answers, by the kind of request, that no W&B gives: the body, for what was sent.
    """

    def __init__(self) -> None:
        self.world = World()
        self.faults = Faults()
        self.requests: list[Request] = []
        self.instead: dict[str, Callable[[dict[str, Any]], bytes]] = {}
        self._port = 0
        self._http: _Http | None = None

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._hang_up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def refused(self) -> list[Request]:
        """Requests without an answer: the client asked for what is not there, in a query that is wrong, or the schema lacks something."""
        return [request for request in self.requests if request.refusal]

    def count(self, kind: str) -> int:
        """How many requests of this kind came."""
        return sum(request.kind == kind for request in self.requests)

    def environment(self, home: Path) -> dict[str, str]:
        """The variables with which W&B's client talks to this server and to nothing else, and writes under `home` only."""
        folders = {name: str(home / folder) for name, folder in _FOLDERS.items()}
        for folder in folders.values():
            Path(folder).mkdir(parents=True, exist_ok=True)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"  # `wandb`, and the agent's `python`
        return {"WANDB_BASE_URL": self.url, "WANDB__STATS_COREWEAVE_METADATA_BASE_URL": self.url, "PATH": path} | _CLIENT | folders

    @contextmanager
    def down(self) -> Iterator[None]:
        """Nobody listens: connections are cut, and new ones refused."""
        self._hang_up()
        try:
            yield
        finally:
            self._listen()

    def _listen(self) -> None:
        self._http = _Http(self._port, self)
        self._port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, name="loopback W&B", daemon=True).start()

    def _hang_up(self) -> None:
        if self._http:
            self._http.shutdown()
            self._http.hang_up()
            self._http.server_close()
            self._http = None


_FOLDERS = {
    "HOME": "",
    "WANDB_DIR": "dir",
    "WANDB_CONFIG_DIR": "config",
    "WANDB_CACHE_DIR": "cache",
    "WANDB_DATA_DIR": "data",
    "WANDB_ARTIFACT_DIR": "artifacts",
}

_CLIENT = {
    "WANDB_API_KEY": KEY,
    "WANDB_MODE": "online",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB__DISABLE_STATS": "true",
    "NO_PROXY": "127.0.0.1",
} | {f"WANDB__{part}_RETRY_WAIT_{end}_SECONDS": "1" for part in ("GRAPHQL", "FILE_STREAM", "FILE_TRANSFER") for end in ("MIN", "MAX")}
"""Retries come after a second; below one the client falls back to its own two seconds and more."""


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, owner: Server):
        super().__init__(("127.0.0.1", port), _Handler)
        self.owner = owner
        self.schema = Schema(owner.world, f"http://127.0.0.1:{self.server_address[1]}")
        self.stopping = threading.Event()
        self._connections: set[Any] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        self.stopping.set()
        for connection in list(self._connections):
            _reset(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that went away is no error
            super().handle_error(request, client_address)


def _reset(connection: socket.socket) -> None:
    with suppress(OSError):  # gone already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer costs the client 40 ms
    wbufsize = -1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path).strip("/").split("/")
        if path[-1] == "graphql":
            sent = json.loads(body)
            operation = _OPERATION.search(sent["query"])
            self._serve(Request(operation[1] if operation else "", sent), lambda: self._graphql(sent))
        elif path[-1] == "file_stream":
            sent = json.loads(body)
            self._serve(Request("file_stream", sent), lambda: json.dumps(self._run(path[1:4]).receive(sent)).encode())
        elif path[0] == "storage":
            name = "/".join(path[4:])
            kind = "upload" if self.command == "PUT" else "download"
            self._serve(Request(kind, {"run": path[3], "file": name}), lambda: self._file(self._run(path[1:4]), name, body))
        else:
            self._serve(Request("unknown", {"path": self.path}), self._nothing)

    do_PUT = do_GET = do_POST

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self, request: Request, act: Callable[[], bytes]) -> None:
        owner = self.server.owner
        planned = owner.faults.strike(request.kind)
        request.fault = planned.fault if planned else None
        owner.requests.append(request)
        if planned and planned.fault != Fault.cut:
            self._fail(planned)
            return
        try:
            with owner.world.lock:
                odd = owner.instead.get(request.kind)
                request.status, answer = 200, odd(request.sent) if odd else act()
        except Exception as error:
            request.status = {NotFoundError: 404, DeletedError: 409}.get(type(error), 400)  # 404 and 400: the client does not try again
            request.refusal = f"{type(error).__name__}: {error}"
            answer = json.dumps({"errors": [{"message": request.refusal}]}).encode()
        self._send(request.status, answer, cut=planned is not None)

    def _graphql(self, sent: dict[str, Any]) -> bytes:
        answer = query.Document(sent["query"]).answer(self.server.schema.root(), sent.get("variables") or {})
        return json.dumps({"data": answer}).encode()

    def _run(self, path: list[str]) -> Run:
        entity, project, name = path
        found = self.server.owner.world.projects.get((entity, project))
        if found is None or name not in found.runs:
            raise NotFoundError(f"no run {'/'.join(path)}")
        return found.runs[name]

    def _file(self, run: Run, name: str, body: bytes) -> bytes:
        if self.command == "PUT":
            run.files[name] = body
            return b""
        if name not in run.files:
            raise NotFoundError(f"no file {name}")
        return run.files[name]

    def _nothing(self) -> bytes:
        raise NotFoundError(self.path)

    def _fail(self, planned: Planned) -> None:
        if planned.fault.isdigit():
            self._send(int(planned.fault), json.dumps({"errors": [{"message": f"{planned.fault} on demand"}]}).encode())
            return
        if planned.fault == Fault.time_out:
            self.server.stopping.wait(planned.hold_seconds)
        self.close_connection = True
        _reset(self.connection)

    def _send(self, status: int, answer: bytes, cut: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer[: len(answer) // 2] if cut else answer)
        self.wfile.flush()
        if cut:
            self.close_connection = True
            _reset(self.connection)
