"""Commands of `hosted` for a remote host: addresses, keys, and answers that are not those of a hosted API."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.errors import PasswordDeleteError

from exasol_ci_setup.containers.hosted.client import Client, parse_url
from exasol_ci_setup.core.errors import InputError
from tests.certificates import create_certificate
from tests.cli.conftest import Ran
from tests.pseudo_terminal import PseudoTerminal

Program = Callable[..., Ran]
KEY = "sesame-open"


class MemoryKeyring(KeyringBackend):
    """A keyring of this process."""

    priority = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if (service, username) not in self.entries:
            raise PasswordDeleteError
        del self.entries[service, username]


@pytest.fixture(autouse=True)
def stored() -> Iterator[dict[tuple[str, str], str]]:
    """The entries of the keyring."""
    before, memory = keyring.get_keyring(), MemoryKeyring()
    keyring.set_keyring(memory)
    yield memory.entries
    keyring.set_keyring(before)


class Site(http.server.BaseHTTPRequestHandler):
    """A site that is not a hosted API. `answers` has the status, the headers and the body of each path; `received` the keys.

    Requests of ``/run`` are answered when the test ends.
    """

    answers: dict[str, tuple[int, dict[str, str], str]]
    received: list[tuple[str, str | None]]
    ended: threading.Event

    def do_GET(self) -> None:
        self.received.append((self.path, self.headers["Authorization"]))
        if self.path == "/run":
            self.ended.wait()
        status, headers, body = self.answers.get(self.path, (404, {}, "<html>404</html>"))
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    """A server that prints no error of a client which rejects its certificate."""

    def handle_error(self, *_: Any) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Callable[..., tuple[str, list[tuple[str, str | None]]]]]:
    """Return a function that starts a site and returns its address and what it has received."""
    servers: list[Server] = []
    ended = threading.Event()

    def start(
        certificate: Path | None = None, **answers: tuple[int, dict[str, str], str]
    ) -> tuple[str, list[tuple[str, str | None]]]:
        paths = {f"/{path}": answer for path, answer in answers.items()}
        kind: Any = type("Handler", (Site,), {"answers": paths, "received": [], "ended": ended})
        server = Server(("127.0.0.1", 0), kind)
        servers.append(server)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            # Each connection has its handshake in the thread of its request.
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        scheme = "http" if certificate is None else "https"
        return f"{scheme}://127.0.0.1:{server.server_address[1]}", kind.received

    yield start
    ended.set()
    for each in servers:
        each.shutdown()
        each.server_close()


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    path = tmp_path / "hosted.key"
    path.write_text(f"{KEY}\n")
    path.chmod(0o600)
    return str(path)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("example.com", "https://example.com"),
        ("https://Example.com:8443/", "https://example.com:8443"),
        ("http://localhost:4546", "http://localhost:4546"),
        ("http://[::1]:4546", "http://[::1]:4546"),
    ],
)
def test_address_has_scheme_and_host(written, meant):
    assert parse_url(written) == meant


@pytest.mark.parametrize(
    "written",
    [
        "",
        "https://",
        "ftp://a",
        "https://a/b",
        "https://a?b",
        "https://me@a",
        "https://a:x",
        "https://a b",
        "https://a\n",
    ],
)
def test_other_address_is_invalid(written):
    with pytest.raises(InputError, match="--url"):
        parse_url(written)


def test_key_is_not_sent_without_tls_to_other_machine(program: Program, key_file):
    ran = program("hosted", "stop", "app1", "--url", "http://127.0.0.1.example.com", "--key-file", key_file)

    assert ran.code == 2
    assert "has no TLS" in ran.stderr
    assert parse_url("http://example.com", allow_http=True) == "http://example.com"


def test_missing_key_is_reported_with_ways_to_set_it(program: Program):
    ran = program("hosted", "stop", "app1", "--url", "example.com")

    assert ran.code == 2
    assert ran.stderr == (
        "error: the deploy key of https://example.com is missing\n\nhint: add --key-file PATH, or store the key in the keyring: "
        "`exasol-ci-setup hosted login --url https://example.com`\n"
    )


@pytest.mark.parametrize("text", ["", "\n", "two\nlines", "two words", "kéy", "a" * 5000 + "\n"])
def test_invalid_key_is_not_printed(program: Program, tmp_path, text):
    (tmp_path / "key").write_text(text)

    ran = program("hosted", "stop", "app1", "--url", "example.com", "--key-file", str(tmp_path / "key"))

    if len(text) > 4096:
        # It is cut, and another key.
        assert ran.code == 1
        return
    assert ran.code == 2
    assert "has no deploy key: a key is one line" in ran.stderr
    assert "two" not in ran.stderr.replace(str(tmp_path), "")


def test_key_comes_from_file_standard_input_or_keyring(program: Program, site, key_file, stored, monkeypatch):
    url, received = site(stop=(200, {}, '{"success": true}'))
    stored["exasol-ci-setup hosted", url] = "from-keyring"

    assert program("hosted", "stop", "app1", "--url", url, "--key-file", key_file).code == 0
    assert program("hosted", "stop", "app1", "--url", url, "--key-file", "-", stdin="from-stdin\n").code == 0
    assert program("hosted", "stop", "app1", "--url", url).code == 0
    monkeypatch.setenv("EXASOL_CI_SETUP_HOSTED_URL", url)
    monkeypatch.setenv("EXASOL_CI_SETUP_HOSTED_KEY_FILE", key_file)
    assert program("hosted", "stop", "app1").code == 0

    keys = (KEY, "from-stdin", "from-keyring", KEY)
    assert received == [("/stop", f"Bearer {key}") for key in keys]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_key_file_with_access_of_other_users_is_reported(program: Program, site, tmp_path: Path, mode: int):
    url, received = site(stop=(200, {}, '{"success": true}'))
    file = tmp_path / "my key"
    file.write_text(KEY)
    file.chmod(mode)

    ran = program("hosted", "stop", "app1", "--url", url, "--key-file", str(file))

    assert (ran.code, received) == (0, [("/stop", f"Bearer {KEY}")])
    warning, command = ran.stderr.splitlines()[0].split("`")[:2]
    assert warning == f"warning: other users may have access to the deploy key in {file}: "
    subprocess.run(command, shell=True, check=True)  # noqa: S602 - the printed command
    ran = program("hosted", "stop", "app1", "--url", url, "--key-file", str(file))
    assert (ran.code, ran.stderr) == (0, "stopped app app1\n")


def test_logout_deletes_key_of_host(program: Program, stored):
    stored["exasol-ci-setup hosted", "https://example.com"] = KEY
    stored["exasol-ci-setup hosted", "https://other.example.com"] = "other"

    assert program("hosted", "logout", "--url", "example.com").stderr == "deleted the key of https://example.com\n"
    assert list(stored.values()) == ["other"]
    assert (
        program("hosted", "logout", "--url", "example.com").stderr == "the keyring has no key of https://example.com\n"
    )


def test_missing_keyring_is_reported_and_file_is_enough(program: Program, site, key_file):
    url, _ = site(stop=(200, {}, '{"success": true}'), logs=(200, {}, '{"success": true, "logs": ""}'))
    keyring.set_keyring(NoKeyring())

    assert program("hosted", "stop", "app1", "--url", url, "--key-file", key_file).code == 0
    assert "the deploy key of" in program("hosted", "stop", "app1", "--url", url).stderr
    ran = program("hosted", "login", "--url", url, "--key-file", key_file)
    assert ran.code == 1
    assert ran.stderr.startswith("error: the key cannot be stored: No recommended backend was available.")
    assert KEY not in ran.stderr


def test_missing_extra_is_reported_with_command(program: Program, site, key_file, monkeypatch):
    url, _ = site(logs=(200, {}, '{"success": true, "logs": ""}'))
    monkeypatch.setitem(sys.modules, "keyring", None)

    ran = program("hosted", "login", "--url", url, "--key-file", key_file)

    assert ran.code == 2
    assert "needs the extra `keyring`" in ran.stderr
    assert "the deploy key of" in program("hosted", "stop", "app1", "--url", url).stderr


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((502, {}, "<html>Bad Gateway</html>"), "answered with status 502, without a reason of the hosted API"),
        ((200, {}, "<html>hello</html>"), "is no hosted API: its answer is not a JSON object"),
        (
            (409, {}, '{"success": false, "reason": "That container is already running."}'),
            "That container is already running",
        ),
        (
            (404, {}, '{"success": false, "reason": "That container doesn\'t exist."}'),
            "That container doesn't exist\n\nhint: `exasol-ci-setup hosted list --url http://127.0.0.1:",
        ),
        ((302, {"Location": "http://127.0.0.2/stop"}, ""), "answered with status 302"),
        (
            (403, {}, '{"success": false, "reason": "The secret is wrong."}'),
            "The secret is wrong\n\nhint: add --key-file",
        ),
    ],
)
def test_failure_is_reported_with_address_and_reason(program: Program, site, key_file, answer, said):
    url, received = site(stop=answer)

    ran = program("hosted", "stop", "app1", "--url", url, "--key-file", key_file)

    assert ran.code == 1
    assert ran.stderr.startswith(f"error: {url}")
    assert said in ran.stderr
    assert len(received) == 1


def test_unreachable_host_is_reported(program: Program, key_file):
    ran = program("hosted", "stop", "app1", "--url", "http://127.0.0.1:1", "--key-file", key_file)

    assert (ran.code, ran.stderr) == (1, "error: http://127.0.0.1:1 cannot be reached: Connection refused\n")


def test_certificate_is_checked(program: Program, site, key_file, tmp_path, monkeypatch):
    certificate = create_certificate(tmp_path / "site.pem", "127.0.0.1")
    url, received = site(certificate=certificate, stop=(200, {}, '{"success": true}'))
    command = ("hosted", "stop", "app1", "--url", url, "--key-file", key_file)

    refused = program(*command)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    accepted = program(*command)

    assert refused.code == 1
    assert "certificate verify failed: self-signed certificate" in refused.stderr.replace("self signed", "self-signed")
    assert accepted.code == 0, accepted.stderr
    assert received == [("/stop", f"Bearer {KEY}")]


@pytest.mark.parametrize(("end", "code"), [("0\r\n\r\n", 0), ("", 1), ("5\r\nwor", 1)])
def test_followed_log_that_host_closes_is_failure(program: Program, key_file, end, code):
    """A log is complete if its last chunk has arrived: https://www.rfc-editor.org/rfc/rfc9112#name-message-body-length."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                connection.sendall(f"{head}6\r\nhello\n\r\n{end}".encode())

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"

        ran = program("hosted", "logs", "app1", "--follow", "--url", url, "--key-file", key_file)

        thread.join()
    assert (ran.code, ran.stdout.splitlines()[0]) == (code, "hello")
    assert ("has closed the log of app1" in ran.stderr) is (code == 1)


def test_followed_line_without_end_is_printed_in_parts(site):
    length = 300_000
    url, _ = site(logs=(200, {}, "x" * length))

    parts = list(Client(url, KEY, seconds=30).follow_logs("app1", 1))

    assert "".join(parts) == "x" * length
    assert len(parts) > 1
    assert max(map(len, parts)) < 3 * 65536


def test_foreign_list_is_no_hosted_api(program: Program, site):
    url, _ = site(**{"": (200, {}, json.dumps({"app1": {"state": "up"}}))})

    assert "its list of containers is unknown" in program("hosted", "list", "--url", url).stderr
    url, _ = site(new=(200, {}, "hello"))
    ran = program("hosted", "deploy", "demo", "--url", url, "--key-file", "-", stdin=KEY)
    assert "its answer to /new is unknown" in ran.stderr


@pytest.mark.parametrize(
    "text",
    [
        '{"success": true}',
        '{"success": true, "releases": [{"number": 1}]}',
        '{"success": true, "releases": 5}',
        '{"releases": []}',
        "[]",
    ],
)
def test_foreign_releases_are_no_hosted_api(program: Program, site, key_file, text):
    address, _ = site(releases=(200, {}, text))

    ran = program("hosted", "releases", "web", "--url", address, "--key-file", key_file)

    assert (ran.code, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f"error: {address} is no hosted API: ")


@pytest.mark.parametrize(
    ("command", "path", "text"),
    [
        (("stop", "app1"), "stop", "{}"),
        (("get", "app1"), "get", '{"success": 1}'),
        (("logs", "app1"), "logs", '{"success": "true", "logs": "a"}'),
        (("delete", "app1", "--yes"), "delete", '{"error": "unknown route"}'),
        (("deploy", "demo"), "new", "Running on \x1b[2J!"),
    ],
)
def test_answer_of_another_service_is_no_success(program: Program, site, key_file, command, path: str, text: str):
    url, _ = site(**{path: (200, {}, text)})

    ran = program("hosted", *command, "--url", url, "--key-file", key_file)

    assert (ran.code, ran.stdout) == (1, "")
    assert ran.stderr == f"error: {url} is no hosted API: its answer to /{path} is unknown\n"


@pytest.mark.parametrize("answer", [(404, {}, "<html>"), (200, {}, "{}"), (502, {}, '{"reason": "No engine."}'), None])
def test_key_that_host_has_not_accepted_is_not_stored(program: Program, site, key_file, stored, answer):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        unreachable = f"http://127.0.0.1:{closed.getsockname()[1]}"
    url = site(logs=answer)[0] if answer is not None else unreachable

    ran = program("hosted", "login", "--url", url, "--key-file", key_file)

    assert (ran.code, ran.stdout, stored) == (1, "", {})
    assert ran.stderr.startswith(f"error: {url}")


def test_unknown_facts_about_app_are_shown(program: Program, site, key_file):
    facts = {"success": True, "name": "web", "memory": "\x1b[2Jlots", "max_body": 1 << 20, "new": 7, "cpus": None}
    address, _ = site(get=(200, {}, json.dumps(facts)))

    ran = program("hosted", "get", "web", "--url", address, "--key-file", key_file)

    assert ran.code == 0
    assert dict(line.split(maxsplit=1) for line in ran.stdout.splitlines() if "body" not in line) == {
        "name": "web",
        "memory": r"\x1b[2Jlots",
        "new": "7",
    }
    assert ran.stdout.splitlines()[2].split() == ["max", "body", "1m"]


def test_list_has_column_for_certificates_if_host_requests_them(program: Program, site):
    apps = {
        "a": {"running": True, "image": "i", "domains": ["a.example", "b.example"], "tls": ["a.example", "b.example"]},
        "b": {"running": True, "image": "i", "domains": ["c.example", "d.example"], "tls": ["d.example"]},
        "c": {"running": True, "image": "i", "domains": ["e.example"], "tls": []},
        "d": {"running": True, "image": "i", "domains": [], "tls": []},
    }
    address, _ = site(**{"": (200, {}, json.dumps(apps))})

    ran = program("hosted", "list", "--url", address)

    assert [line.split()[-1] for line in ran.stdout.splitlines()] == ["TLS", "yes", "d.example", "no", "i"]


def test_variable_is_not_set_and_removed_by_one_command(program: Program, site, key_file):
    url, received = site()

    ran = program(
        "hosted",
        "redeploy",
        "app1",
        "--env",
        "A=1",
        "--env",
        "B=1",
        "--unset",
        "B",
        "--url",
        url,
        "--key-file",
        key_file,
    )

    assert ran.code == 2
    assert ran.stderr.startswith("error: B is both set and unset\n")
    assert received == []


def test_delete_needs_confirmation(program: Program, site, key_file):
    url, received = site()

    ran = program("hosted", "delete", "app1", "--url", url, "--key-file", key_file)

    assert (ran.code, received) == (2, [])
    assert "confirmation is needed, but there is no terminal" in ran.stderr


def test_late_answer_is_reported_with_option(program: Program, site, key_file):
    url, received = site()

    ran = program("hosted", "run", "app1", "--url", url, "--key-file", key_file, "--wait", "1s")

    assert (ran.code, len(received)) == (1, 1)
    assert ran.stderr == (
        f"error: {url} has not answered within 1 s; the request may still be in progress\n\n"
        "hint: wait longer with --wait, such as `--wait 30m`\n"
    )


def test_ctrl_c_reports_that_host_may_complete_request(site, key_file, tmp_path):
    url, received = site()

    with PseudoTerminal(
        *("hosted", "run", "app1", "--url", url, "--key-file", key_file), cwd=tmp_path, environment={}
    ) as terminal:
        while not received:
            time.sleep(0.01)
        terminal.interrupt()
        assert terminal.end() == 130
    assert f"error: interrupted; {url} may still complete the request" in terminal.text.replace("\n", " ")


def test_prompted_key_is_checked_and_not_shown(site, tmp_path):
    url, received = site(logs=(404, {}, '{"success": false, "reason": "That container doesn\'t exist."}'))
    environment = {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}

    with PseudoTerminal("hosted", "login", "--url", url, cwd=tmp_path, environment=environment) as terminal:
        terminal.wait_for("Deploy key: ")
        terminal.type(f"{KEY}\r")
        assert terminal.end() == 0
    assert received == [("/logs", f"Bearer {KEY}")]
    assert f"stored the key of {url} in the keyring" in terminal.text
    assert KEY not in terminal.text
