"""A small Hub: the part of the Hugging Face Hub's HTTP interface by which models and datasets are read.

It serves a folder: `models/OWNER/NAME/COMMIT/...` and `datasets/OWNER/NAME/COMMIT/...`, with `refs.json` beside commits
({"main": COMMIT, ...}). As on the Hub, weights and data (`LINKED`) are answered with a redirect to another place, text
files directly; listings come in pages; a repository named in `gated` shows its listing but gives no file.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

LINKED = (".safetensors", ".parquet", ".gz", ".zip", ".xlsx", ".bin")
REPOSITORY = r"([^/]+(?:/(?!revision/)[^/]+)?)"
API = re.compile(rf"/api/(models|datasets)/{REPOSITORY}(?:/(revision|tree|paths-info|refs)(?:/([^/]+)(?:/(.+))?)?)?")
RESOLVE = re.compile(r"/(?:(datasets)/)?([^/]+(?:/[^/]+)?)/resolve/([^/]+)/(.+)")
PAGE = 3  # entries of a listing that are sent at once
RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class Refused(Exception):
    """An answer other than 200: (status, X-Error-Code, message)."""


class Hub:
    """The server, in a thread. `log` holds (method, path, status, bytes sent) of every request; `cut` names files whose
    connection is closed half way through their bytes, and how often; `gated` repositories that are refused."""

    def __init__(self, root: Path) -> None:
        self.root, self.log, self.cut, self.gated, self.port = root, [], {}, set(), 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Answer at the port that was had before, if any."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), type("Of", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        self.port, self.answers = self._server.server_port, True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Connections are refused from now on, until `start`."""
        self._server.shutdown()
        self._server.server_close()
        self.answers = False

    def commit(self, kind: str, name: str, files: dict[str, bytes], ref: str | None = "main") -> str:
        """Add a commit to the repository (of "models" or "datasets") and point `ref` to it; its hash."""
        content = [kind, name, {path: hashlib.sha1(data).hexdigest() for path, data in files.items()}]
        commit, place = hashlib.sha1(json.dumps(content).encode()).hexdigest(), self.root / kind / name
        for path, data in files.items():
            file = place / commit / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        if ref is not None:
            (place / "refs.json").write_text(json.dumps({**_refs(place), ref: commit}))
        return commit

    def sent(self, part: str) -> int:
        """Bytes of files sent whose path holds `part`."""
        return sum(size for _, path, _, size in self.log if path.startswith("/cdn/") and part in path)


def _refs(place: Path) -> dict[str, str]:
    file = place / "refs.json"
    return json.loads(file.read_text()) if file.exists() else {}


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """`hub.log` has it."""

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        path, query = unquote(split.path) if "/cdn/" in split.path else split.path, parse_qs(split.query)
        try:
            if path.startswith("/cdn/"):
                return self._file(self.hub.root / path.removeprefix("/cdn/"), {})
            if match := API.fullmatch(path):
                return self._api(*match.groups(), query)
            if match := RESOLVE.fullmatch(path):
                return self._resolve(*match.groups())
            raise Refused(404, "", f"no such address {path}")
        except Refused as refused:
            status, code, message = refused.args
            headers = {"X-Error-Code": code, "X-Error-Message": message} if code else {}
            self._send(status, json.dumps({"error": message}).encode(), headers)

    do_HEAD = do_POST = do_GET

    def _repository(self, kind: str, name: str, revision: str | None) -> tuple[Path, str]:
        place = self.hub.root / kind / name
        if not place.is_dir():  # the Hub does not tell what is missing from what is private
            raise Refused(401, "RepoNotFound", "Repository not found")
        revision = unquote(revision or "main")
        commit = _refs(place).get(revision, revision)
        if not re.fullmatch("[0-9a-f]{40}", commit) or not (place / commit).is_dir():
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return place / commit, commit

    def _api(self, kind: str, name: str, what: str | None, revision: str | None, below: str | None, query: Any) -> None:
        folder, commit = self._repository(kind, name, revision)
        if what == "refs":
            refs = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": c} for n, c in _refs(folder.parent).items()]
            return self._json({"branches": refs, "converts": [], "tags": [], "pullRequests": []})
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        if what == "paths-info":
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            wanted = [folder / path for path in form.get("paths", [])]
            return self._json([_entry(folder, path) for path in wanted if path.exists()])
        if what == "tree":
            start = folder / unquote(below or "")
            if not start.is_dir():
                raise Refused(404, "EntryNotFound", f"{below} does not exist on {revision}")
            recursive = query.get("recursive", ["false"])[0].lower() in ("true", "1")
            found = sorted(start.rglob("*") if recursive else start.iterdir())
            return self._page([_entry(folder, path) for path in found], query)
        siblings = [{"rfilename": path.relative_to(folder).as_posix()} for path in files]
        gated = "manual" if name in self.hub.gated else False
        shown = {"id": name, "sha": commit, "siblings": siblings, "gated": gated, "private": False, "disabled": False}
        return self._json({**shown, "tags": [], "downloads": 0, "likes": 0, "lastModified": "2026-01-01T00:00:00.000Z"})

    def _page(self, entries: list[Any], query: Any) -> None:
        at = int(query.get("cursor", ["0"])[0])
        rest = "&".join(f"{key}={value[0]}" for key, value in query.items() if key != "cursor")
        following = f"{self.hub.url}{urlsplit(self.path).path}?{rest}&cursor={at + PAGE}"
        self._json(entries[at : at + PAGE], {"Link": f'<{following}>; rel="next"'} if at + PAGE < len(entries) else {})

    def _resolve(self, datasets: str | None, name: str, revision: str, path: str) -> None:
        kind = datasets or "models"
        folder, commit = self._repository(kind, name, revision)
        if name in self.hub.gated:
            raise Refused(401, "GatedRepo", f"Access to {name} is restricted. You must be authenticated to access it")
        file = folder / unquote(path)
        headers = {"X-Repo-Commit": commit}
        if not file.is_file():
            missing = {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"}
            self._send(404, b"Entry not found", headers | missing)
        elif path.endswith(LINKED):
            linked = {"X-Linked-Etag": f'"{_sha256(file)}"', "X-Linked-Size": str(file.stat().st_size)}
            # another host, as on the Hub: its client follows redirects to its own host itself
            place = f"http://localhost:{self.hub.port}/cdn/{quote(file.relative_to(self.hub.root).as_posix())}"
            self._send(302, b"Found", {**headers, **linked, "Location": place})
        else:
            self._file(file, headers)

    def _file(self, file: Path, headers: dict[str, str]) -> None:
        """The file's bytes or the range of them that is asked for."""
        content, status = file.read_bytes(), 200
        headers = {"ETag": f'"{_sha256(file)}"', "Accept-Ranges": "bytes", **headers}
        if asked := RANGE.fullmatch(self.headers.get("Range") or ""):
            first, size = int(asked[1]), len(content)
            last = min(int(asked[2] or size), size - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
            content, status = content[first : last + 1], 206
        self._send(status, content, headers, file.name)

    def _json(self, value: Any, headers: dict[str, str] | None = None) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, body: bytes, headers: dict[str, str], name: str = "") -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD" and self.hub.cut.get(name, 0) > 0:
            self.hub.cut[name] -= 1
            self.close_connection, body = True, body[: len(body) // 2]
        self.hub.log.append((self.command, unquote(self.path), status, 0 if self.command == "HEAD" else len(body)))
        if self.command != "HEAD":
            self.wfile.write(body)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _entry(folder: Path, path: Path) -> dict[str, Any]:
    name = path.relative_to(folder).as_posix()
    if path.is_dir():
        return {"type": "directory", "path": name, "oid": hashlib.sha1(name.encode()).hexdigest(), "size": 0}
    size, found = path.stat().st_size, _sha256(path)
    entry = {"type": "file", "path": name, "oid": found[:40], "size": size}
    return entry | ({"lfs": {"oid": found, "size": size, "pointerSize": 134}} if name.endswith(LINKED) else {})
