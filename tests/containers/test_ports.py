"""Ports in all forms of requests and configurations."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.containers.manager import ports
from exasol_ci_setup.containers.manager.ports import Port

PORTS = st.integers(1, 65535)


@pytest.mark.parametrize(
    ("written", "port"),
    [
        (6379, Port(6379)),
        ("6379", Port(6379)),
        ([6379], Port(6379)),
        ([0, 4545], Port(4545)),
        ("8080:6379", Port(6379, host=8080)),
        ("53/udp", Port(53, "udp")),
        (["127.0.0.1", 0, "53/udp"], Port(53, "udp", address="127.0.0.1")),
        ("127.0.0.1::80", Port(80, address="127.0.0.1")),
        ("127.0.0.1:8080:80/tcp", Port(80, host=8080, address="127.0.0.1")),
        ("[::1]:8080:80", Port(80, host=8080, address="::1")),
        (["::1", 8080, 80], Port(80, host=8080, address="::1")),
    ],
)
def test_each_form_is_parsed(written, port):
    assert ports.parse(written) == port


@pytest.mark.parametrize(
    "written",
    [
        *(
            "",
            ":",
            "a",
            "0",
            "65536",
            "-1",
            "1.5",
            "80/icmp",
            "1:2:3:4",
            "x:1:2",
            "1:2:3",
            "\uff18\uff10",
            "80 ",
            "300.1.1.1:1:1",
        ),
        *(0, 65536, -1, 1.5, True, None, [], [1, 2, 3, 4], [[1]], {}, [True, 80], ["a", 80], [80, 0]),
    ],
)
def test_invalid_port_is_rejected_with_its_value(written):
    with pytest.raises(ValueError, match=re.escape(ascii(written))):
        ports.parse(written)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_any_json_value_is_parsed_or_rejected(written):
    try:
        found = ports.parse(written)
    except ValueError:
        return
    assert 1 <= found.container <= 65535


@given(PORTS, st.integers(0, 65535), st.sampled_from(["tcp", "udp", "sctp"]), st.ip_addresses().map(str) | st.just(""))
def test_string_and_list_are_equivalent(container, host, protocol, address):
    port = Port(container, protocol, host, address)
    bracketed = f"[{address}]" if ":" in address else address

    assert ports.parse([address, host, f"{container}/{protocol}"]) == port
    assert ports.parse(f"{bracketed}:{host}:{container}/{protocol}") == port


def test_bindings_contain_all_host_ports_and_none_for_free_port():
    requested = [Port(80), Port(80, host=8080, address="10.0.0.1"), Port(53, "udp")]

    assert ports.to_bindings(requested, "127.0.0.1") == {
        "80/tcp": [("127.0.0.1", None), ("10.0.0.1", 8080)],
        "53/udp": [("127.0.0.1", None)],
    }


def test_requested_port_replaces_configured_port():
    requested = [Port(80, host=1)]

    assert ports.merge([Port(80, host=2), Port(80, "udp")], requested) == (Port(80, host=1), Port(80, "udp"))


def test_published_ports_have_first_host_port_and_no_tcp_suffix():
    port_map = {"80/tcp": [{"HostPort": "32768"}, {"HostPort": "1"}], "53/udp": [{"HostPort": "2"}]}

    assert ports.read_published({**port_map, "81/tcp": None}) == {"80": 32768, "53/udp": 2}
    assert ports.read_published(None) == {}
