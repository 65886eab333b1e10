"""The Hugging Face Hub on this machine: as much of its protocol as the course's libraries speak, and its faults.

It serves a folder in the mirror layout at the pinned revisions, on 127.0.0.1. Files kept as LFS on the Hub (weights,
parquet) are redirected to another host, small ones within the Hub, as the real one does. Standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from course_utils.hub import MODELS
from tools.mirror import SOURCES

LARGE = {".parquet", ".safetensors"}


@dataclass
class Fault:
    """What goes wrong with the next ``times`` requests by ``method`` for a path that contains ``part``.

    ``kind`` is a status (429, 503), or one of
    ``gone``: 404, there is no such revision; ``drop``: the connection is closed without an answer;
    ``stall``: no answer until the server stops; ``pause``: half a body, then nothing; ``cut``: half of the promised body;
    ``short``: half of the body, said to be all of it; ``wrong``: a body of the right length with another content;
    ``last``: a right answer, after which the server is gone.
    """

    kind: str | int
    part: str
    method: str
    times: int
    retry_after: int


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.hub.connections.append(self.connection)

    def log_message(self, *_) -> None:
        pass

    def do_HEAD(self) -> None:  # http.server's own spelling
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer()

    def answer(self) -> None:
        hub = self.server.hub
        url = urlsplit(self.path)
        path = unquote(url.path)
        hub.requests.append(f"{self.command} {path} {self.headers.get('Range', '')}".strip())
        fault = hub.take_fault(self.command, path)
        kind = fault.kind if fault else None
        if isinstance(kind, int):
            return self.send(kind, b"busy", {"Retry-After": str(fault.retry_after)})
        if kind == "gone":
            return self.missing("RevisionNotFound")
        if kind in {"drop", "stall"}:
            self.close_connection = True
            if kind == "stall":
                hub.stopping.wait(60)
            return None
        if kind == "last":
            self.close_connection = True
            hub.stop(but=self.connection)
        return self.route(path, parse_qs(url.query), kind)

    def route(self, path: str, query: dict[str, list[str]], fault: str | None) -> None:
        hub = self.server.hub
        parts = path.strip("/").split("/")
        if path == "/":
            return self.send(200, b"<html>the Hub</html>")
        if parts[0] in {"cdn", "cache"}:  # /cdn/datasets/namespace/name/path
            return self.send_file("/".join(parts[1:4]), "/".join(parts[4:]), fault)
        if parts[0] == "api" and len(parts) > 5:  # /api/datasets/namespace/name/revision/sha/…
            return self.api("/".join(parts[1:4]), parts[4], parts[5], "/".join(parts[6:]), query)
        if "resolve" not in parts:
            return self.missing("RepoNotFound")
        if parts[0] != "datasets":
            parts.insert(0, "models")
        repo, sha, name = "/".join(parts[:3]), parts[4], "/".join(parts[5:])
        if hub.revisions.get(repo) != sha:
            return self.missing("RevisionNotFound" if repo in hub.revisions else "RepoNotFound")
        if not (file := hub.locate(repo, name)):
            return self.missing("EntryNotFound", sha)
        headers = {"X-Repo-Commit": sha}
        if file.suffix not in LARGE:
            return self.send(307, b"", headers | {"Location": f"/cache/{repo}/{name}"})
        headers |= {"X-Linked-Size": str(file.stat().st_size), "X-Linked-ETag": f'"{digest(file)}"'}
        return self.send(
            302, b"", headers | {"Location": f"http://localhost:{hub.port}/cdn/{repo}/{name}"}
        )

    def api(self, repo: str, what: str, sha: str, path: str, query: dict[str, list[str]]) -> None:
        hub = self.server.hub
        if hub.revisions.get(repo) != sha:
            return self.missing("RevisionNotFound" if repo in hub.revisions else "RepoNotFound")
        files = {name: file for name, file in hub.files(repo).items() if file.is_file()}
        if what == "revision":
            siblings = [
                {"rfilename": name} | (facts(file) if "blobs" in query else {})
                for name, file in files.items()
            ]
            return self.json(
                {
                    "id": repo.split("/", 1)[1],
                    "sha": sha,
                    "private": False,
                    "gated": False,
                    "disabled": False,
                    "downloads": 0,
                    "likes": 0,
                    "tags": [],
                    "siblings": siblings,
                }
            )
        folders = {"/".join(name.split("/")[:-1]) for name in files} - {""}
        entries = [
            {"type": "file", "path": name, "oid": facts(file)["blobId"]} | facts(file)
            for name, file in files.items()
        ]
        entries += [
            {"type": "directory", "path": name, "oid": "0" * 40, "size": 0} for name in folders
        ]
        if what == "paths-info":
            wanted = parse_qs(self.body.decode()).get("paths") or json.loads(self.body)["paths"]
            return self.json([e for e in entries if e["path"] in wanted])
        if what == "tree":
            found = [e for e in entries if not path or e["path"].startswith(path + "/")]
            return self.json(found) if found else self.missing("EntryNotFound", sha)
        return self.missing("RepoNotFound")

    def send_file(self, repo: str, name: str, fault: str | None) -> None:
        hub = self.server.hub
        file = hub.locate(repo, name)
        content = file.read_bytes()
        headers = {
            "ETag": f'"{digest(file)}"',
            "X-Repo-Commit": hub.revisions[repo],
            "Accept-Ranges": "bytes",
        }
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        if fault == "wrong":
            body = bytes(255 - b for b in body[: len(body) // 2]) + body[len(body) // 2 :]
        if fault == "short":
            body = body[: len(body) // 2]
        sent = len(body) // 2 if fault in {"cut", "pause"} else len(body)
        self.send(206 if start else 200, body, headers, sent)
        if fault == "pause":
            hub.stopping.wait(60)
        if sent < len(body):
            self.close_connection = True

    def json(self, value: object) -> None:
        self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def missing(self, code: str, sha: str | None = None) -> None:
        self.send(
            404,
            b"",
            {"X-Error-Code": code, "X-Error-Message": code}
            | ({"X-Repo-Commit": sha} if sha else {}),
        )

    def send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        sent: int | None = None,
    ) -> None:
        """Answer with ``body``, of which only ``sent`` bytes are sent (all by default, none for HEAD)."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:sent])
            self.wfile.flush()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    hub: HubServer

    def handle_error(self, request, client_address) -> None:
        """A client that hung up is no error here."""


class HubServer:
    """``with HubServer(folder) as hub`` serves at ``hub.url``; ``hub.requests`` has what was asked for."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.port = 0
        self.requests: list[str] = []
        self.faults: list[Fault] = []
        self.connections: list[socket.socket] = []
        self.lock = threading.Lock()
        self.revisions = {f"models/{m.repo}": m.revision for m in MODELS.values()}
        self.revisions |= {f"datasets/{d.repo}": d.revision for d in SOURCES.values()}

    def __enter__(self) -> HubServer:
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, at the same port as before a ``stop``, with no fault."""
        self.faults.clear()
        self.requests.clear()
        self.stopping = threading.Event()
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.server.hub = self
        self.port = self.server.server_port
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def stop(self, but: socket.socket | None = None) -> None:
        """Close every connection ``but`` one, and refuse new ones."""
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()
        for connection in set(self.connections) - {but}:
            with contextlib.suppress(OSError):  # it's closed already
                connection.shutdown(socket.SHUT_RDWR)
        self.connections.clear()

    def fail(
        self, kind: str | int, part: str, method: str = "GET", times: int = 1, retry_after: int = 0
    ) -> None:
        self.faults.append(Fault(kind, part, method, times, retry_after))

    def take_fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times and fault.part in path and fault.method in {method, "any"}:
                    fault.times -= 1
                    return fault
        return None

    def files(self, repo: str) -> dict[str, Path]:
        """Every file of a repository ("models/namespace/name"): its name on the Hub and its place in the folder."""
        base = self.folder / repo
        model_files = {
            str(f.relative_to(base)): f
            for f in base.rglob("*")
            if f.is_file() and f.suffix != ".parquet"
        }
        return model_files | {
            name: self.folder / d.folder / f"{split}.parquet"
            for d in SOURCES.values()
            if repo == f"datasets/{d.repo}"
            for split, name in d.files.items()
        }

    def locate(self, repo: str, name: str) -> Path | None:
        file = self.files(repo).get(name)
        return file if file and file.is_file() else None


def digest(file: Path) -> str:
    """What the Hub gives as ETag: SHA-256 of a large file, git's SHA-1 of a small one."""
    content = file.read_bytes()
    if file.suffix in LARGE:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def facts(file: Path) -> dict[str, object]:
    size = file.stat().st_size
    if file.suffix not in LARGE:
        return {"size": size, "blobId": digest(file)}
    sha256 = digest(
        file
    )  # git keeps a small pointer file in the large one's place; its id is of no use to anybody
    return {
        "size": size,
        "blobId": "0" * 40,
        "lfs": {"sha256": sha256, "oid": sha256, "size": size, "pointerSize": 134},
    }
