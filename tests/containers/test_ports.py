"""Ports in all the forms that callers and configurations write them in."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.containers.manager import ports
from exasol_ci_setup.containers.manager.ports import Port

PORTS = st.integers(1, 65535)


@pytest.mark.parametrize(
    ("written", "meant"),
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
def test_every_form_is_understood(written, meant):
    assert ports.parse(written) == meant


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
def test_what_is_no_port_is_refused_with_what_was_written(written):
    with pytest.raises(ValueError, match=re.escape(ascii(written))):
        ports.parse(written)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_nothing_that_json_can_hold_is_more_than_refused(written):
    try:
        found = ports.parse(written)
    except ValueError:
        return
    assert 1 <= found.container <= 65535


@given(PORTS, st.integers(0, 65535), st.sampled_from(["tcp", "udp", "sctp"]), st.ip_addresses().map(str) | st.just(""))
def test_texts_and_lists_mean_the_same(container, host, protocol, address):
    meant = Port(container, protocol, host, address)
    shown = f"[{address}]" if ":" in address else address

    assert ports.parse([address, host, f"{container}/{protocol}"]) == meant
    assert ports.parse(f"{shown}:{host}:{container}/{protocol}") == meant


def test_the_engine_gets_all_places_of_a_port_and_chooses_where_none_is_named():
    assert ports.bindings([Port(80), Port(80, host=8080, address="127.0.0.1"), Port(53, "udp")]) == {
        "80/tcp": [("", None), ("127.0.0.1", 8080)],
        "53/udp": [("", None)],
    }


def test_what_is_asked_for_comes_before_what_is_configured():
    asked = [Port(80, host=1)]

    assert ports.merged([Port(80, host=2), Port(80, "udp")], asked) == (Port(80, host=1), Port(80, "udp"))


def test_answers_have_the_first_port_of_the_host_and_no_protocol_for_tcp():
    told = {"80/tcp": [{"HostPort": "32768"}, {"HostPort": "1"}], "53/udp": [{"HostPort": "2"}]}

    assert ports.published({**told, "81/tcp": None}) == {"80": 32768, "53/udp": 2}
    assert ports.published(None) == {}
