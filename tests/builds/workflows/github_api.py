"""Comments of a pull request over HTTPS, as GitHub's API has them, for the program `gh`."""

from __future__ import annotations

import json
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tests.certificates import create_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "ghs_test"
PAGE_SIZE = 2
ADDRESS = "127.0.0.1"


@dataclass
class Comment:
    """A comment; `own` is true if the owner of TOKEN wrote it."""

    body: str
    own: bool = True


@dataclass
class GitHub:
    """The API at `url`; `comments` are those of each pull request. The file `certificate` is trusted by its clients."""

    url: str
    certificate: Path
    comments: dict[int, list[Comment]] = field(default_factory=dict)


def _query(github: GitHub, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    if "updateIssueComment" in query:
        number, index = map(int, variables["id"].split("/"))
        github.comments[number][index].body = variables["body"]
        return {"updateIssueComment": {"clientMutationId": None}}
    assert (variables["owner"], variables["name"]) == ("o", "r")
    comments = github.comments.setdefault(variables["number"], [])
    start = int(variables.get("endCursor") or 0)
    nodes = [
        {"id": f"{variables['number']}/{index}", "body": each.body, "viewerDidAuthor": each.own}
        for index, each in enumerate(comments)
    ]
    page = {"hasNextPage": start + PAGE_SIZE < len(nodes), "endCursor": str(start + PAGE_SIZE)}
    found = {"nodes": nodes[start : start + PAGE_SIZE], "pageInfo": page}
    return {"repository": {"pullRequest": {"comments": found}}}


def _handler(github: GitHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.headers["Authorization"] != f"token {TOKEN}":
                self._answer(403, {"message": "Resource not accessible by integration"})
            elif self.path == "/api/graphql":
                self._answer(200, {"data": _query(github, sent["query"], sent.get("variables", {}))})
            else:
                *_, repository, _, number, _ = self.path.split("/")
                assert self.path == f"/api/v3/repos/o/{repository}/issues/{number}/comments"
                github.comments.setdefault(int(number), []).append(Comment(sent["body"]))
                self._answer(201, {})

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextmanager
def serve(folder: Path) -> Iterator[GitHub]:
    """Serve the API until the block ends; its certificate is written to `folder`."""
    path = create_certificate(folder / "github.pem", ADDRESS)
    github = GitHub("", path)
    server = ThreadingHTTPServer((ADDRESS, 0), _handler(github))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    github.url = f"https://{ADDRESS}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield github
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
