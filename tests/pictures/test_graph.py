"""Diagrams of templates in Mermaid and DOT, and drawn by Graphviz."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exasol_ci_setup import CiBuild, render
from exasol_ci_setup.core.errors import GraphvizError
from exasol_ci_setup.pictures.characters import printable
from exasol_ci_setup.pictures.graph import GraphPart, dot, mermaid
from exasol_ci_setup.pictures.graphviz import draw
from exasol_ci_setup.template.render import parse
from tests.graphviz import require_program

PAGE = Path(__file__).parents[2] / "docs" / "pictures.md"
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
# Names with a meaning in one of the languages, and any other text.
NASTY = [
    *('end"] --> n2["x', "end", "style n1 fill:#f00;", '%%{init: {"theme": "dark"}}%%', "`**x**`", "<b>x</b>", "a\\"),
    *(
        "\\N\\n",
        "&amp;#34;",
        "#quot;",
        'x"]; n1 -> n2 [label="',
        "a\nb",
        "\x00\x1b\ud800\uffff",
        "1. x",
        "fa:fa-ban",
        "%%x",
    ),
]
NAMES = st.lists(st.text() | st.sampled_from(NASTY), min_size=3, max_size=3, unique=True)


def parts_of(first: str, second: str, stack: str) -> list[GraphPart]:
    resources: dict[str, Any] = {first: {"Type": second}, second: {"Type": first, "DependsOn": [first]}}
    return [GraphPart(stack, {"Resources": resources}), GraphPart(f"other {stack}", {"Resources": {}}, (stack,))]


PLAIN = parts_of("A", "B", "C")


@given(NAMES)
def test_mermaid_structure_is_independent_of_names(names):
    first, second, stack = names
    written = mermaid(parts_of(first, second, stack))

    assert re.sub('"[^"]*"', "", written) == re.sub('"[^"]*"', "", mermaid(PLAIN))
    labels = re.findall('"([^"]*)"', written)
    assert all(re.fullmatch(r"(?:[^\W_]|[ ./-]|::|#\d+;|<br/>)*", label) for label in labels)
    decoded = [re.sub(r"#(\d+);", lambda code: chr(int(code[1])), label) for label in labels]
    assert decoded[0] == (printable(stack) or " ")
    for name in names[:2]:
        assert any(printable(name) in label for label in decoded)


@given(NAMES)
def test_dot_structure_is_independent_of_names(names):
    first, second, stack = names
    written = dot(parts_of(first, second, stack), title=stack)

    assert QUOTED.sub("", written) == QUOTED.sub("", dot(PLAIN, title="C"))


@settings(max_examples=15)  # each example runs a process
@given(NAMES)
def test_graphviz_draws_any_name_unchanged(names):
    require_program()
    first, second, stack = names

    drawn = draw(dot(parts_of(first, second, stack), title=stack), "svg").decode()

    svg = "{http://www.w3.org/2000/svg}"
    root = ET.fromstring(drawn)  # noqa: S314 - our own
    kinds = [element.get("class") for element in root.iter(f"{svg}g")]
    assert {kind: kinds.count(kind) for kind in ("cluster", "node", "edge")} == {"cluster": 2, "node": 2, "edge": 2}
    texts = "".join(element.text or "" for element in root.iter(f"{svg}text"))
    assert all(printable(name).replace(" ", "") in texts.replace("\xa0", "").replace(" ", "") for name in names)


def test_mermaid_of_program_has_frame_per_stack():
    topic = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}

    written = mermaid([GraphPart("gives", topic), GraphPart("takes", topic, ("gives", "gives", "absent"))])

    assert written.splitlines() == [
        "flowchart RL",
        '  subgraph s1["gives"]',
        '    n1["Topic<br/>SNS::Topic"]',
        "  end",
        '  subgraph s2["takes"]',
        '    n2["Topic<br/>SNS::Topic"]',
        "  end",
        "  s2 --> s1",
    ]


def test_dot_has_color_of_service_and_tooltip():
    written = dot([GraphPart("t", {"Resources": {"Role": {"Type": "AWS::IAM::Role"}}})], title="t")

    assert '  n1 [label="Role\\nIAM::Role", tooltip="Role: AWS::IAM::Role", fillcolor="#fdecea", ' in written


def test_diagram_in_docs_is_current():
    construct = CiBuild(project="Slc", project_url="https://github.com/exasol/script-languages-release")

    (shown,) = re.findall(r"```mermaid\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)

    assert shown == mermaid([GraphPart("Slc", parse(render(construct).body))])


def test_missing_graphviz_is_reported_with_hint(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(GraphvizError, match="`dot` is not on the PATH") as caught:
        draw("digraph {}", "svg")

    assert "apt-get install graphviz" in caught.value.hint


def test_invalid_graph_raises_with_reason_of_graphviz():
    require_program()

    with pytest.raises(GraphvizError, match=r"`dot` drew no picture: .*syntax error"):
        draw("digraph {", "svg")


def test_title_of_graph_is_title_of_picture():
    require_program()

    drawn = draw(dot([], title='The "resources" & more'), "svg").decode()

    assert 'The "resources" & more' in unescape(drawn)
