"""Web pages as responses: the page of a proxy, and a response of AWS with that content type."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from exasol_ci_setup.aws.session import connect, translate_aws_errors
from exasol_ci_setup.core.errors import UnreachableError

LOGIN = b"<!DOCTYPE html><html><head><title>Log in</title><body>Log in<br></html>"
XHTML = b'<html xmlns="http://www.w3.org/1999/xhtml"><body>Log in</body></html>'
KINDS = ("text/html", "text/html; charset=utf-8", "application/xhtml+xml")


class Endpoint:
    """An endpoint that sends the same response to every request, and an account that uses it."""

    def __init__(self):
        self.body = b""
        self.status = 200
        self.headers: dict[str, str] = {}
        endpoint = self

        class Answer(BaseHTTPRequestHandler):
            def answer(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(endpoint.status)
                for name, value in {**endpoint.headers, "Content-Length": str(len(endpoint.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(endpoint.body)

            do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815 - the names of the base class

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        url = f"http://127.0.0.1:{self.server.server_port}"
        self.account = connect(region="eu-central-1", endpoint_url=url, access_key=("a", "b"))

    def call(self, name, body, *, kind, status=200, **headers):
        """Return the result of a call whose response has this status, `body` and content type `kind`."""
        self.body, self.status, self.headers = body, status, {"Content-Type": kind, **headers}
        with translate_aws_errors():
            return CALLS[name](self.account)


@pytest.fixture(scope="module")
def endpoint():
    found = Endpoint()
    Thread(target=found.server.serve_forever, args=(0.01,), daemon=True).start()
    yield found
    found.server.shutdown()
    found.server.server_close()


CALLS = {
    "json": lambda account: account.client("secretsmanager").describe_secret(SecretId="a"),
    "query": lambda account: account.client("cloudformation").describe_stacks(),
    "s3 xml": lambda account: account.client("s3").list_objects_v2(Bucket="a"),
    "s3 head": lambda account: account.client("s3").head_object(Bucket="a", Key="a"),
    "s3 stream": lambda account: account.client("s3").get_object(Bucket="a", Key="a"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("page", [LOGIN, XHTML, b""])
@pytest.mark.parametrize("status", [200, 403])
def test_page_of_proxy_is_no_answer(endpoint, call, page, status):
    for kind in KINDS:
        with pytest.raises(UnreachableError, match="received a web page instead of a response"):
            endpoint.call(call, page, kind=kind, status=status)


@pytest.mark.parametrize("kind", KINDS)
def test_json_with_content_type_of_page_is_answer(endpoint, kind):
    assert endpoint.call("json", b'{"Name": "github"}', kind=kind)["Name"] == "github"


@pytest.mark.parametrize("kind", KINDS)
def test_xml_with_content_type_of_page_is_answer(endpoint, kind):
    body = b"<DescribeStacksResponse><DescribeStacksResult><Stacks/></DescribeStacksResult></DescribeStacksResponse>"

    assert endpoint.call("query", body, kind=kind)["Stacks"] == []


@pytest.mark.parametrize("kind", KINDS)
def test_object_with_content_type_of_page_is_answer(endpoint, kind):
    headers = {"X-Amz-Request-Id": "4442587FB7D0A2F9"}

    assert endpoint.call("s3 stream", LOGIN, kind=kind, **headers)["Body"].read() == LOGIN
    assert endpoint.call("s3 head", LOGIN, kind=kind, **headers)["ContentLength"] == len(LOGIN)
