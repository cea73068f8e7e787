"""Amounts of CPU and memory, and the sizes of Fargate."""

from __future__ import annotations

from contextlib import suppress
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exasol_ci_setup.constructs.service import MEMORY, Cpu
from exasol_ci_setup.core.errors import SpaceRequestError
from exasol_ci_setup.platform import sizes


@pytest.mark.parametrize(
    ("text", "units"),
    [("1", 1024), ("0.5", 512), ("250m", 256), (1, 1024), (0.25, 256), ("1.0", 1024), ("1500m", 1536), ("0.0001", 1)],
)
def test_cpu_is_in_vcpus_or_millicores(text, units):
    assert sizes.cpu_units(text) == units


@pytest.mark.parametrize(
    ("text", "mib"),
    [("1Gi", 1024), ("512Mi", 512), (512, 512), ("512", 512), ("0.5Gi", 512), ("1G", 954), ("100M", 96), ("1.5Mi", 2)],
)
def test_memory_is_in_mib_or_has_unit(text, mib):
    assert sizes.mebibytes(text) == mib


@pytest.mark.parametrize("text", ["", "0", "-1", "one", "1Gi", "1 m", "nan", "1e3", "0m", "٣", None, True])
def test_invalid_cpu_is_rejected(text):
    with pytest.raises(SpaceRequestError, match="invalid amount of CPU"):
        sizes.cpu_units(text)


@pytest.mark.parametrize("text", ["", "0", "-1Gi", "1Ti", "1 Gi", "1GB", "1gi", "lots", "0Mi", None])
def test_invalid_memory_is_rejected(text):
    with pytest.raises(SpaceRequestError, match="invalid amount of memory"):
        sizes.mebibytes(text)


@pytest.mark.parametrize(
    ("cpu", "memory", "pair"),
    [
        ("250m", "1Gi", (256, 1024)),
        ("250m", "512Mi", (256, 512)),
        ("0.3", "512Mi", (512, 1024)),
        ("250m", "4Gi", (512, 4096)),
        ("1", "512Mi", (1024, 2048)),
        ("8", "17Gi", (8192, 20480)),
        ("250m", 600, (256, 1024)),
    ],
)
def test_amounts_are_rounded_up_to_fargate_size(cpu, memory, pair):
    found = sizes.fargate(sizes.cpu_units(cpu), sizes.mebibytes(memory))

    assert (found.cpu, found.memory) == pair


def test_size_is_printed_with_units():
    assert str(sizes.fargate(256, 1000)) == "0.25 vCPU and 1024 MiB"


@pytest.mark.parametrize(("cpu", "memory"), [("17", "1Gi"), ("1", "121Gi"), ("256", "512Mi")])
def test_size_above_maximum_is_rejected_with_maximum(cpu, memory):
    with pytest.raises(SpaceRequestError, match="exceed the largest size") as caught:
        sizes.fargate(sizes.cpu_units(cpu), sizes.mebibytes(memory))

    assert "16 vCPU and 122880 MiB" in caught.value.hint


@settings(deadline=None)
@given(cpu=st.integers(1, 16384), memory=st.integers(1, 122880))
def test_size_is_smallest_that_suffices(cpu, memory):
    found = sizes.fargate(cpu, memory)

    assert found.memory in MEMORY[found.cpu]
    assert found.cpu >= cpu
    assert found.memory >= memory
    assert not any(
        units >= cpu and mib >= memory and (units, mib) < (found.cpu, found.memory)
        for units in get_args(Cpu)
        for mib in MEMORY[units]
    )


@pytest.mark.parametrize("read", [sizes.cpu_units, sizes.mebibytes])
@given(text=st.text(max_size=12))
def test_any_text_is_parsed_or_rejected(read, text):
    with suppress(SpaceRequestError):
        assert read(text) > 0
