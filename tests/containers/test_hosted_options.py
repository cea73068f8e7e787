"""Options of apps of the hosted API: sizes, times and limits; and the subnets of their networks."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from exasol_ci_setup.containers.hosted.networks import Networks
from exasol_ci_setup.containers.hosted.options import AppOptions, format_size, parse_seconds, parse_size


@pytest.mark.parametrize(
    ("text", "size"), [("256m", 268435456), ("1g", 1 << 30), ("10 KB", 10240), ("7MiB", 7 << 20), (42, 42), ("42b", 42)]
)
def test_size_is_in_bytes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("size", "text"), [(512 << 20, "512m"), (2 << 30, "2g"), (1536 << 10, "1536k"), (1000, "1000")]
)
def test_size_as_text_is_accepted_again(size: int, text: str):
    assert (format_size(size), parse_size(text)) == (text, size)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("24h", 86400), (7, 7), ("1.2", 2), (0.1, 1)])
def test_time_is_in_whole_seconds(text, seconds):
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    "value", ["", "0", "-1", "1t", "m", "1e3", "9" * 40, None, True, [], "1\n2", "inf", "nan", "25h"]
)
def test_invalid_size_or_time_is_rejected(value):
    with pytest.raises(ValueError, match="use a"):
        parse_seconds(value)
    if value != "25h":
        with pytest.raises(ValueError, match="use a"):
            parse_size(value)


@given(st.one_of(st.text(max_size=12), st.integers(), st.floats(), st.booleans(), st.none()))
def test_option_is_valid_number_or_rejected(value: Any):
    for name in ("memory", "cpus", "pids", "max_body", "timeout"):
        try:
            found = getattr(AppOptions.model_validate({name: value}), name)
        except ValidationError:
            continue
        assert found is None or found > 0


@pytest.mark.parametrize("name", ["memory", "cpus", "pids", "max_body", "timeout"])
def test_true_is_no_number(name):
    with pytest.raises(ValidationError, match=name):
        AppOptions.model_validate({name: True})


@given(st.text(max_size=12))
def test_health_path_has_no_characters_that_end_request_line(text: str):
    try:
        path = AppOptions.model_validate({"health_path": f"/{text}"}).health_path
    except ValidationError:
        return
    assert path is not None
    assert path.isascii()
    assert not set(path) & set(' \r\n\t\0\\"')


def test_options_survive_round_trip_as_json():
    options = AppOptions.model_validate({"memory": "64m", "cpus": "0.5", "timeout": "5m", "health_path": "/a?b=%20"})

    assert AppOptions.model_validate_json(options.model_dump_json(exclude_none=True)) == options


def test_subnet_overlaps_no_other_network_of_engine():
    client: Any = None
    networks = Networks(client, ipaddress.IPv4Network("198.51.100.0/26"), "an-id")
    existing: list[dict[str, Any]] = [
        {"Name": "a", "IPAM": {"Config": [{"Subnet": "198.51.100.0/28"}]}},
        {"Name": "b", "IPAM": {"Config": [{"Subnet": "198.51.100.20/30"}, {"Subnet": "fd00::/64"}]}},
        {"Name": "host", "IPAM": {"Config": None}},
        {"Name": "none", "IPAM": None},
    ]

    assert list(map(str, networks._free_subnets(existing))) == ["198.51.100.32/28", "198.51.100.48/28"]
