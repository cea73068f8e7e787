"""Each diagram was drawn from the source file next to it: the picture contains the digest."""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.graphviz import require_program

ROOT = Path(__file__).parents[1]
HERE = ROOT / "docs" / "diagrams"
SOURCES = sorted(HERE.glob("*.yaml"))


def program() -> Any:
    """Return the program that draws them, as a module."""
    spec = importlib.util.spec_from_file_location("draw_diagrams", HERE / "draw.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def texts(png: bytes) -> dict[str, str]:
    """Return the texts in a PNG: chunks of length, type, data and check sum after eight bytes of signature."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    found, at = {}, 8
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        if kind == b"tEXt":
            key, _, value = png[at + 8 : at + 8 + length].partition(b"\0")
            found[key.decode()] = value.decode()
        at += length + 12
    return found


def test_flow_of_releases_is_drawn_at_top_level():
    draw = program()

    assert {draw.target(source).relative_to(ROOT).as_posix() for source in SOURCES} == {
        "release-flow.png",
        "docs/diagrams/ci-flow.png",
        "docs/diagrams/test-release-flow.png",
    }


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_picture_has_digest_of_its_source(source):
    draw = program()

    shown = texts(draw.target(source).read_bytes()).get(draw.KEY.decode())

    assert shown == draw.digest(source), "the source has changed since it was drawn: make diagrams"


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_arrow_begins_and_ends_at_box(source):
    data = yaml.safe_load(source.read_text(encoding="utf-8"))
    boxes = [box["id"] for box in data["boxes"]]

    assert len(set(boxes)) == len(boxes)
    for arrow in data["arrows"]:
        ends = [arrow["from"], arrow["to"]] if isinstance(arrow, dict) else arrow[:2]
        assert set(ends) <= set(boxes)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_graphviz_draws_picture_with_digest(source):
    require_program()
    draw = program()

    assert texts(draw.png(source))[draw.KEY.decode()] == draw.digest(source)
