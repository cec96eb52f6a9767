"""An HTTPS server that speaks the calls of GitHub's REST API that `stages.comment` makes.

Git objects and branches are real ones of a bare repository; comments and pull requests are kept in
memory, with GitHub's paging, and calls without the right token are refused.
"""

import base64
import json
import re
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.pipeline import project

TOKEN = "a-token-for-tests"
REPOSITORY = "someone/shop"


@dataclass
class GitHubServer:
    """What the server holds, and how it is to fail.

    `faults` are statuses and headers of the next answers to calls whose method and path begin as
    given; `late` ones, by the whole call, are sent after it was carried out.
    """

    git: Path
    address: str = ""
    certificate: str = ""
    pulls: list[dict[str, Any]] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    faults: list[tuple[str, int, dict[str, str]]] = field(default_factory=list)
    late: dict[str, int] = field(default_factory=dict)

    def add_comment(self, pull: int, login: str, body: str) -> dict[str, Any]:
        """A new comment as GitHub answers it."""
        number = len(self.comments) + 1
        comment = {
            "id": number,
            "pull": pull,
            "user": {"login": login},
            "body": body,
            "html_url": f"{self.address}/{REPOSITORY}/pull/{pull}#issuecomment-{number}",
        }
        self.comments.append(comment)
        return comment

    def run(self, *command: str, data: bytes | None = None) -> str:
        """What git prints in the repository."""
        done = subprocess.run(
            ["git", *command],
            cwd=self.git,
            env=project.environment(),
            input=data,
            capture_output=True,
            check=True,
        )
        return done.stdout.decode().strip()

    def fault(self, call: str, credentials: str) -> tuple[int, dict[str, str], Any] | None:
        """Status, headers and content with which a call is refused; None if it is not."""
        if credentials != f"Bearer {TOKEN}":
            return 401, {}, {"message": "Bad credentials"}
        for fault in self.faults:
            if call.startswith(fault[0]):
                self.faults.remove(fault)
                return fault[1], fault[2], {"message": "a fault"}
        return None

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        """Status and content of one call below the repository."""
        for pattern, handle in (
            (r"GET pulls", self._pulls),
            (r"GET issues/(\d+)/comments", self._list),
            (r"POST issues/(\d+)/comments", self._create),
            (r"PATCH issues/comments/(\d+)", self._update),
            (r"POST git/(blobs|trees|commits)", self._write),
            (r"PATCH git/refs/(heads/.+)", self._move),
            (r"POST git/(refs)", self._branch),
        ):
            if found := re.fullmatch(pattern, f"{method} {path}"):
                return handle(query, body, *found.groups())
        return 404, {"message": "Not Found"}

    def _pulls(self, query: dict[str, str], _: Any) -> tuple[int, Any]:
        owner, _, branch = query["head"].partition(":")
        return 200, [
            pull
            for pull in self.pulls
            if pull["head"]["ref"] == branch and pull["head"]["user"]["login"] == owner
        ]

    def _list(self, _: dict[str, str], __: Any, pull: str) -> tuple[int, Any]:
        return 200, [comment for comment in self.comments if comment["pull"] == int(pull)]

    def _create(self, _: dict[str, str], body: Any, pull: str) -> tuple[int, Any]:
        if len(body["body"]) > 65_536:
            return 422, {"message": "Body is too long"}
        return 201, self.add_comment(int(pull), "github-actions[bot]", body["body"])

    def _update(self, _: dict[str, str], body: Any, number: str) -> tuple[int, Any]:
        self.comments[int(number) - 1]["body"] = body["body"]
        return 200, self.comments[int(number) - 1]

    def _write(self, _: dict[str, str], body: Any, kind: str) -> tuple[int, Any]:
        if kind == "blobs":
            data = base64.b64decode(body["content"], validate=True)
            sha = self.run("hash-object", "-w", "--stdin", data=data)
        elif kind == "trees":
            lines = [f"{e['mode']} {e['type']} {e['sha']}\t{e['path']}\n" for e in body["tree"]]
            sha = self.run("mktree", data="".join(lines).encode())
        else:
            parents = [word for parent in body["parents"] for word in ("-p", parent)]
            sha = self.run("commit-tree", body["tree"], "-m", body["message"], *parents)
        return 201, {"sha": sha}

    def _move(self, _: dict[str, str], body: Any, ref: str) -> tuple[int, Any]:
        if not self.run("for-each-ref", f"refs/{ref}"):
            return 422, {"message": "Reference does not exist"}
        self.run("update-ref", f"refs/{ref}", body["sha"])
        return 200, {"ref": f"refs/{ref}"}

    def _branch(self, _: dict[str, str], body: Any, __: str) -> tuple[int, Any]:
        self.run("update-ref", body["ref"], body["sha"])
        return 201, {"ref": body["ref"]}

    def picture(self, path: str) -> bytes | None:
        """What a browser gets of /owner/name/blob/COMMIT/FILE?raw=true."""
        found = re.fullmatch(rf"/{REPOSITORY}/blob/([0-9a-f]{{40}})/([a-z0-9.-]+)", path)
        if not found:
            return None
        command = ["git", "cat-file", "blob", f"{found[1]}:{found[2]}"]
        return subprocess.run(command, cwd=self.git, capture_output=True, check=False).stdout


class _Server(ThreadingHTTPServer):
    state: GitHubServer


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def _serve(self) -> None:
        target = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        state = self.server.state
        if self.command == "GET" and (data := state.picture(target.path)) is not None:
            self._send(200, {}, data)
            return
        path = target.path.removeprefix(f"/repos/{REPOSITORY}/")
        call = f"{self.command} {path}"
        state.calls.append(call)
        fault = state.fault(call, self.headers.get("Authorization", ""))
        if fault is not None:
            self._json(*fault)
            return
        query = {name: values[0] for name, values in parse_qs(target.query).items()}
        status, content = state.answer(self.command, path, query, body)
        if late := state.late.pop(call, None):
            status, content = late, {"message": "a late fault"}
        headers = {}
        if isinstance(content, list):
            content, headers = self._page(content, query)
        self._json(status, headers, content)

    do_GET = do_POST = do_PATCH = _serve  # noqa: N815  names that the library looks for

    def _page(self, items: list, query: dict[str, str]) -> tuple[list, dict[str, str]]:
        size, at = int(query.get("per_page", 30)), int(query.get("page", 1))
        page = items[(at - 1) * size : at * size]
        if at * size >= len(items):
            return page, {}
        plain = re.sub(r"&page=\d+", "", self.path)
        following = f"{self.server.state.address}{plain}&page={at + 1}"
        return page, {"Link": f'<{following}>; rel="next", <{following}>; rel="last"'}

    def _json(self, status: int, headers: dict[str, str], content: Any) -> None:
        self._send(status, headers, json.dumps(content).encode())

    def _send(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing: the calls are kept."""


@contextmanager
def serve(folder: Path) -> Iterator[GitHubServer]:
    """A running server; whoever trusts its `certificate` can call it."""
    state = GitHubServer(folder / "repository.git")
    project.run(folder, "git", "init", "--quiet", "--bare", str(state.git))
    state.certificate, key = str(folder / "certificate.pem"), str(folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext"]
    command += ["subjectAltName=DNS:localhost", "-keyout", key, "-out", state.certificate]
    subprocess.run(command, check=True, capture_output=True)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.state = state
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(state.certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    state.address = f"https://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
