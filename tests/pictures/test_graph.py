"""Diagrams of templates: references, layout and SVG."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup import CiBuild, render
from exasol_ci_setup.pictures.canvas import Box, Line, Picture, Text, png, svg
from exasol_ci_setup.pictures.graph import GraphPart, picture
from exasol_ci_setup.pictures.layers import arrange
from exasol_ci_setup.template.references import references
from exasol_ci_setup.template.render import parse

NAMES = st.text(min_size=1, max_size=12)
GRAPHS = st.dictionaries(NAMES, st.lists(NAMES, max_size=4), max_size=12)


def boxes(drawn: Picture) -> list[Box]:
    return [shape for shape in drawn.shapes if isinstance(shape, Box)]


def test_every_kind_of_reference_counts_once():
    template = parse(
        """
Resources:
  A: {Type: "AWS::SNS::Topic"}
  B: {Type: "AWS::SNS::Topic"}
  C: {Type: "AWS::SNS::Topic", DependsOn: A}
  D: {Type: "AWS::SNS::Topic", DependsOn: [A, B]}
  E: {Type: "AWS::SNS::Topic", Properties: {X: !Ref A, Y: [!GetAtt B.Arn, !Ref A], Z: !Ref "AWS::Region"}}
  F: {Type: "AWS::SNS::Topic", Properties: {X: !Sub "${A}-${B.Arn}-${!C}-${AWS::Region}"}}
  G: {Type: "AWS::SNS::Topic", Properties: {X: !Sub ["${A} ${Own}", {Own: !Ref B, A: 1}], Y: !Ref G}}
"""
    )

    assert references(template) == {
        "A": (),
        "B": (),
        "C": ("A",),
        "D": ("A", "B"),
        "E": ("A", "B"),
        "F": ("A", "B"),
        "G": ("B",),
    }


def test_reference_to_unknown_name_is_ignored():
    odd = {"Ref": 3, "DependsOn": {"x": 1}, "Fn::GetAtt": {"a": 1}, "Fn::Sub": [], "A": {"Fn::GetAtt": []}}

    assert references({"Resources": {"X": odd, "Y": {"Ref": ["X", 2]}}}) == {"X": (), "Y": ("X",)}


def test_aliased_values_are_visited_once():
    part: object = {"Ref": "B"}
    for _ in range(40):
        part = [part, part]

    assert references({"Resources": {"A": part, "B": {}}}) == {"A": ("B",), "B": ()}


def test_deeply_nested_reference_is_found():
    part: object = {"Ref": "B"}
    for _ in range(5000):
        part = {"x": [part]}

    assert references({"Resources": {"A": part, "B": {}}}) == {"A": ("B",), "B": ()}


def test_long_chain_has_layer_per_link():
    chain = {str(number): [str(number + 1)] for number in range(3000)}

    found = arrange({**chain, "3000": []})

    assert [layer[0] for layer in found.layers] == [str(number) for number in range(3000, -1, -1)]


@given(st.text())
def test_any_text_gives_valid_svg(text):
    drawn = svg(Picture(10, 10, text, (Text(1, 1, text), Box(0, 0, 1, 1, "none", hint=text))))

    ET.fromstring(drawn.encode())  # noqa: S314 - it raises for what is not well-formed, and is our own


def test_invalid_xml_characters_are_replaced():
    drawn = svg(Picture(10, 10, "a\x1b\x00\ud800b\uffff", ()))

    assert "<title>a\ufffd\ufffd\ufffdb\ufffd</title>" in drawn


@given(GRAPHS)
def test_box_is_right_of_references_except_in_cycles(edges):
    found = arrange(edges)

    at = {node: layer for layer, nodes in enumerate(found.layers) for node in nodes}
    assert {node for node in at if isinstance(node, str)} == set(edges)
    lines = {(name, each) for name, used in edges.items() for each in used if each in edges and each != name}
    assert set(found.lines) == lines
    for (name, used), line in found.lines.items():
        assert (line[0], line[-1]) == (name, used)
        # A line has a node in each layer between its ends.
        assert [abs(at[one] - at[other]) for one, other in pairwise(line)] in (
            [1] * (len(line) - 1),
            [0],
        )
    reachable = {name: {name} for name in edges}
    for _ in edges:
        for name, used in edges.items():
            reachable[name] = reachable[name].union(*(reachable[each] for each in used if each in edges))
    for name, used in lines:
        if name not in reachable[used]:
            assert at[used] < at[name]


@given(GRAPHS)
def test_boxes_do_not_overlap_and_fit_picture(edges):
    resources = {
        name: {"Type": "AWS::SNS::Topic", "DependsOn": [each for each in used if each in edges]}
        for name, used in edges.items()
    }

    drawn = picture([GraphPart("t", {"Resources": resources})], title="t")

    for one, other in combinations(boxes(drawn), 2):
        apart = (
            one.x + one.width <= other.x
            or other.x + other.width <= one.x
            or one.y + one.height <= other.y
            or other.y + other.height <= one.y
        )
        assert apart
    for box in boxes(drawn):
        assert 0 <= box.x <= box.x + box.width <= drawn.width
        assert 0 <= box.y <= box.y + box.height <= drawn.height


@given(st.text())
def test_svg_of_any_template_is_xml(text):
    resources = {text: {"Type": text}, "B": {"Type": "x", "DependsOn": text}}

    written = svg(picture([GraphPart(text, {"Resources": resources}), GraphPart("other", {})], title=text))

    if all(character.isprintable() for character in text):
        shown = {element.text for element in ET.fromstring(written).iter("{http://www.w3.org/2000/svg}text")}  # noqa: S314 - our own
        assert text in shown or not text


def test_picture_in_docs_is_current(golden):
    construct = CiBuild(project="Slc", project_url="https://github.com/exasol/script-languages-release")

    drawn = picture([GraphPart("Slc", parse(render(construct).body))], title="The resources of template.yaml")

    golden("../../docs/diagrams/ci-build.svg", svg(drawn))


def test_picture_of_ci_build_shows_resources_and_types():
    construct = CiBuild(project="Slc", project_url="https://github.com/exasol/script-languages-release")
    template = parse(render(construct).body)

    drawn = picture([GraphPart("Slc", template)], title="Slc")

    texts = [shape.text for shape in drawn.shapes if isinstance(shape, Text)]
    for name, resource in template["Resources"].items():
        assert name in texts
        assert resource["Type"].removeprefix("AWS::") in texts
    arrows = [shape for shape in drawn.shapes if isinstance(shape, Line)]
    assert len(arrows) == sum(len(each) for each in references(template).values())


def test_several_stacks_have_frames_and_arrows():
    topic = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}

    drawn = picture([GraphPart("gives", topic), GraphPart("takes", topic, ("gives",))], title="both")

    frames = {box.hint: box for box in boxes(drawn) if box.hint in {"gives", "takes"}}
    (arrow,) = [shape for shape in drawn.shapes if isinstance(shape, Line)]
    assert frames["gives"].x + frames["gives"].width <= frames["takes"].x
    assert arrow.points[0][0] == pytest.approx(frames["takes"].x)
    assert arrow.points[-1][0] == pytest.approx(frames["gives"].x + frames["gives"].width)
    assert arrow.arrow


def test_png_has_double_size():
    image = pytest.importorskip("PIL.Image")
    from io import BytesIO

    drawn = Picture(
        100, 50, "t", (Box(10, 10, 20, 20, "#ff0000"), Line(((0, 0), (50, 40)), arrow=True), Text(5, 40, "x"))
    )

    with image.open(BytesIO(png(drawn))) as opened:
        assert opened.format == "PNG"
        assert opened.size == (200, 100)
        assert opened.getpixel((40, 40)) == (255, 0, 0)


def test_svg_numbers_are_short():
    written = svg(Picture(100, 50.25, "t", (Box(1 / 3, 10, 20, 20, "#ff0000"),)))

    assert 'x="0.3"' in written
    assert not re.search(r"\d\.\d{2,}", written)
