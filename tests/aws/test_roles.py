"""Chains of assumed roles."""

from __future__ import annotations

import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar
from urllib.parse import parse_qs

import pytest

from exasol_ci_setup.aws.roles import assume
from exasol_ci_setup.aws.session import connect, translate_aws_errors
from exasol_ci_setup.constructs import Scope
from exasol_ci_setup.core.errors import AccessDeniedError, CredentialsInvalidError
from exasol_ci_setup.programs import Connections
from tests.answers import VirtualClock

FIRST = "arn:aws:iam::111111111111:role/first"
SECOND = "arn:aws:iam::222222222222:role/second"
_ASSUMED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>KEY-OF-{role}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
_IDENTITY = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Account>1</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"""
_DENIED = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>AccessDenied</Code><Message>not you</Message></Error></ErrorResponse>"""


class Sts(BaseHTTPRequestHandler):
    """Return credentials of every role except `denied`, and record the caller's credentials of each request."""

    seen: ClassVar[list[tuple[str, str]]]
    external_ids: ClassVar[list[str]]
    denied: str
    url: str

    def do_POST(self) -> None:
        asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        key = re.search(r"Credential=([^/]+)/", self.headers["Authorization"])
        arn = asked.get("RoleArn", [asked["Action"][0]])[0]
        self.seen.append((key[1] if key else "", arn))
        self.external_ids.extend(asked.get("ExternalId", []))
        text = _IDENTITY if arn == "GetCallerIdentity" else _ASSUMED.format(role=arn.rpartition("/")[2])
        body = (_DENIED if arn == self.denied else text).encode()
        self.send_response(403 if arn == self.denied else 200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def sts():
    class Handler(Sts):
        seen: ClassVar[list[tuple[str, str]]] = []
        external_ids: ClassVar[list[str]] = []
        denied = ""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Handler.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Handler
        server.shutdown()
        thread.join()


def test_roles_are_assumed_in_order_when_needed(sts):
    base = connect(region="eu-central-1", endpoint_url=sts.url, access_key=("BASE", "secret"))

    account = assume(base, (FIRST, SECOND), region="eu-west-1")
    assert sts.seen == []
    account.client("sts").get_caller_identity()
    account.client("sts").get_caller_identity()

    assert sts.seen[:2] == [("BASE", FIRST), ("KEY-OF-first", SECOND)]
    assert sts.seen[2:] == [("KEY-OF-second", "GetCallerIdentity")] * 2


@pytest.mark.parametrize(("external_id", "sent"), [(None, []), ("shop-7", ["shop-7", "shop-7"])])
def test_each_role_gets_external_id_of_scope(sts, external_id, sent):
    scope = Scope(name="a", region="eu-west-1", role_assumptions=(FIRST, SECOND), external_id=external_id)
    connections = Connections(
        VirtualClock(), lambda _: connect(region="eu-central-1", endpoint_url=sts.url, access_key=("BASE", "secret"))
    )
    connections(scope).client("sts").get_caller_identity()
    assert sts.external_ids == sent
    other = scope.model_copy(update={"external_id": "other"})
    assert connections(other) is not connections(scope)
    assert connections(scope) is connections(scope)


def test_role_that_cannot_be_assumed_is_access_denied(sts):
    sts.denied = SECOND
    base = connect(region="eu-central-1", endpoint_url=sts.url, access_key=("BASE", "secret"))

    with pytest.raises(AccessDeniedError, match="AWS does not allow AssumeRole: not you"), translate_aws_errors():
        assume(base, (FIRST, SECOND), region="eu-west-1").client("sts").get_caller_identity()


@pytest.mark.live
def test_last_role_sends_requests(live):
    account = assume(live, (FIRST, SECOND), region="eu-west-1")

    assert ":assumed-role/second/exasol-ci-setup" in account.client("sts").get_caller_identity()["Arn"]
    assert account.region == "eu-west-1"


@pytest.mark.live
def test_without_role_account_is_same_in_region(live, account_id):
    elsewhere = assume(live, (), region="eu-west-1")

    assert elsewhere.client("sts").get_caller_identity()["Account"] == account_id
    assert elsewhere.client("cloudformation").meta.region_name == "eu-west-1"


def test_missing_credentials_are_reported(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(CredentialsInvalidError, match="no AWS credentials"):
        assume(connect(region="eu-central-1"), (FIRST,), region="eu-central-1")
