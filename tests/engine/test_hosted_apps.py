"""Apps of the hosted API behind nginx: protocols, limits, releases and logs, on one host for all tests."""

from __future__ import annotations

import pytest

from tests.engine.hosted import Host, echo, request, upload

pytestmark = pytest.mark.engine

ADDRESSES = ("127.0.0.1", "::1")
MIB = 1 << 20


@pytest.mark.parametrize("address", ADDRESSES)
def test_app_gets_http_1_1_and_websockets(shared_host: Host, address):
    shared_host.new("demo:1", "tunnel")

    assert request("tunnel.example.com", "/protocol", address=address).text == "HTTP/1.1 close None"
    assert echo("tunnel.example.com", "hello", address=address) == "hello"
    # Other upgrades are not forwarded.
    plain = request("tunnel.example.com", "/protocol", address=address, Connection="Upgrade", Upgrade="h2c")
    assert plain.text == "HTTP/1.1 close None"


def test_upload_of_50_mib_is_accepted_over_ipv4_and_ipv6(shared_host: Host):
    shared_host.new("demo:1", "upload")

    for address in ADDRESSES:
        assert upload("upload.example.com", 50 * MIB, address=address).text == f"{50 * MIB} bytes"
    # The default limit is 100 MiB.
    assert upload("upload.example.com", 101 * MIB, address="127.0.0.1").status == 413
    assert request("example.com", "/openapi.json", address="::1").status == 200
