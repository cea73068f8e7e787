"""The picture of the README was drawn from its asciicast, which has the commands of the script."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[1]
HERE = ROOT / "docs" / "recording"
CAST = HERE / "first-deployment.cast"


def program(name: str) -> Any:
    """Return a program of the recording as a module."""
    spec = importlib.util.spec_from_file_location(f"recording_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cast():
    return CAST.read_text(encoding="utf-8")


def test_picture_was_drawn_from_recording(cast):
    title = json.loads(cast.partition("\n")[0])["title"]

    drawn = program("draw").picture(cast, title=title)

    assert drawn == CAST.with_suffix(".svg").read_text(encoding="utf-8"), "the picture is out of date: make recording"


def test_recording_has_commands_of_script(cast):
    written = "".join(text for _, _, text in map(json.loads, cast.splitlines()[1:]))
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written)

    assert re.findall(r"^\$ (.*?)\r$", plain, re.MULTILINE) == program("record").commands()


def test_picture_is_valid_and_needs_no_other_file(cast):
    drawn = program("draw").picture(cast, title="<a> & b")

    root = ET.fromstring(drawn)  # noqa: S314 - a text of this project
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root[0].text == "<a> & b"
    assert "<script" not in drawn
    assert re.findall(r'(?:href|src)="(?!#)', drawn) == []


def test_screens_are_those_of_terminal():
    events = ["\x1b[1mbold\x1b[0m plain\r\n", "two", "\r\x1b[2K\x1b[38;5;130mthree\x1b[0m"]
    header = {"version": 2, "width": 20, "height": 3}
    cast = "\n".join(map(json.dumps, (header, *([1.0 * number, "o", text] for number, text in enumerate(events)))))

    frames, columns, rows = program("draw").frames(cast)

    assert (columns, rows) == (20, 3)
    assert [re.sub("<.*?>", "|", frame.rows[1]).strip("|") for frame in frames] == ["", "", "two", "three", "three"]
    assert 'class="b">bold' in frames[1].rows[0]
    assert 'style="fill:#af5f00">three' in frames[-1].rows[1]
