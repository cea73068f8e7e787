"""Templates of the user: plain files, standard input, and Jinja files with variables."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exasol_ci_setup.constructs import Registry, Scope
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.template import jinja
from exasol_ci_setup.template.limits import LARGEST_TEMPLATE
from exasol_ci_setup.template.render import parse
from exasol_ci_setup.template.source import construct_source, default_stack_name, load_template, open_source, parse_own

TOPIC = "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_plain_file_is_read_unchanged(tmp_path):
    text = "# {{ no Jinja }}\n" + TOPIC

    assert open_source(write(tmp_path, "a.yaml", text)).render().body == text


def test_standard_input_is_read():
    source = open_source("-", stdin=io.BytesIO(b"\xef\xbb\xbf" + TOPIC.encode()))

    assert parse_own(source.render())["Resources"]["Topic"] == {"Type": "AWS::SNS::Topic"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\n\xff", r"a.yaml:2 cannot be read: it is not UTF-8"),
        (b"#" * (LARGEST_TEMPLATE + 1), r"a.yaml is too large: more than 1,048,576 bytes"),
    ],
)
def test_unreadable_file_is_refused(tmp_path, content, message):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)

    with pytest.raises(InputError, match=message):
        open_source(path).render()


@pytest.mark.parametrize("name", ["missing.yaml", "missing.yaml.j2", "folder", "a\0b"])
def test_missing_file_is_refused(tmp_path, name):
    (tmp_path / "folder").mkdir()

    with pytest.raises(InputError, match="cannot be read"):
        open_source(tmp_path / name).render()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("a: 1\nb: ]\n", r"a.yaml:2 cannot be read: "),
        (TOPIC + "  Topic: {}\n", r"a.yaml:4 cannot be read: duplicate key 'Topic'"),
        (
            "Resources: !!python/object:os.system {}",
            r"a.yaml:1 cannot be read: CloudFormation does not support the tag",
        ),
        (
            "a: &a [1, 1]\n" + "".join(f"b{n}: &{chr(98 + n)} [{f'*{chr(97 + n)}, ' * 20}]\n" for n in range(9)),
            "aliases",
        ),
        ("- a", "not a mapping"),
        ("a: 1", "no Resources"),
    ],
)
def test_invalid_template_names_file_and_line(tmp_path, body, message):
    source = open_source(write(tmp_path, "a.yaml", body))

    with pytest.raises(InputError, match=message):
        parse_own(source.render())


@pytest.mark.parametrize(
    ("file", "name"),
    [("net.yaml", "net"), ("x/app.yaml.j2", "app"), ("t.template", "t"), ("a-b.json", "a-b")],
)
def test_stack_name_is_stem_of_file(file, name):
    assert default_stack_name(file) == name


@pytest.mark.parametrize("file", ["-", "1.yaml", "a_b.yaml", "a.b.yaml", ".yaml"])
def test_invalid_stem_needs_stack_name(file):
    with pytest.raises(InputError, match="gives no name for the stack"):
        default_stack_name(file)


def test_variables_for_plain_file_are_refused(tmp_path):
    with pytest.raises(InputError, match="takes no variables"):
        open_source(write(tmp_path, "a.yaml", TOPIC), {"a": "b"})


JINJA = """\
Resources:
  Topic:
    Type: AWS::SNS::Topic
    Properties:
      TopicName: {{ name }}
      DisplayName: {{ name ~ "-topic" }}
      Tags: {{ tags }}
"""


def test_jinja_file_is_rendered_with_quoted_values(tmp_path):
    source = open_source(write(tmp_path, "a.yaml.j2", JINJA), {"name": "no", "tags": [{"Key": "a: b", "Value": True}]})

    template = source.render()

    assert template.name.endswith("a.yaml")
    assert parse_own(template)["Resources"]["Topic"]["Properties"] == {
        "TopicName": "no",
        "DisplayName": "no-topic",
        "Tags": [{"Key": "a: b", "Value": True}],
    }


def test_literal_filter_keeps_dollar_braces(tmp_path):
    text = JINJA.replace("{{ name }}", "{{ name | literal }}")
    source = open_source(write(tmp_path, "a.yaml.j2", text), {"name": "a ${AWS::Region}", "tags": []})

    assert parse_own(source.render())["Resources"]["Topic"]["Properties"]["TopicName"] == {
        "Fn::Join": ["", ["a $", "{AWS::Region}"]]
    }


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


# The first example compiles the template.
@settings(deadline=None)
@given(name=VALUES, tags=VALUES)
@example(name="x", tags={"k" * 1023: [{"k" * 1022: 1}], "\u0301" * 300: None})
def test_no_variable_changes_structure(tmp_path_factory, name, tags):
    path = tmp_path_factory.getbasetemp() / "structure.yaml.j2"
    if not path.exists():
        path.write_text(JINJA.replace('name ~ "-topic"', "name"), encoding="utf-8")

    try:
        body = open_source(path, {"name": name, "tags": tags}).render().body
    except InputError:
        assert "{{resolve:" in repr((name, tags))
        return

    expected = {"TopicName": name, "DisplayName": name, "Tags": tags}
    assert parse(body) == {"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": expected}}}


def test_unknown_variables_are_all_named_with_lines(tmp_path):
    text = "{% include 'b.j2' %}\na: {{ nam }}\nb: {{ other }}\nc: {{ third | default('x') }}\n"
    write(tmp_path, "b.j2", "x: {{ name }}\n")

    with pytest.raises(InputError) as caught:
        open_source(write(tmp_path, "a.yaml.j2", text), {"name": "x"}).render()

    assert "a.yaml.j2:2: 'nam' is undefined; did you mean name?" in caught.value.message
    assert "a.yaml.j2:3: 'other' is undefined" in caught.value.message
    assert "third" not in caught.value.message
    assert caught.value.hint == "set it with `--var other=VALUE`"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: {{ x", r"a.yaml.j2:2: "),
        ("a: 1\nb: {{ 1 / 0 }}", r"a.yaml.j2:2: division by zero"),
        ("\n{% include '../secret' %}", r"a.yaml.j2:2: ../secret does not exist"),
        ("\n{% include '/etc/passwd' %}", r"a.yaml.j2:2: /etc/passwd does not exist"),
        ("\n{% include 'link' %}", r"a.yaml.j2:2: link does not exist"),
        ("{{ ''.__class__.__mro__ }}", r"a.yaml.j2:1: .*unsafe"),
        ("{{ [].append(1) }}", r"a.yaml.j2:1: .*unsafe"),
        ("{{ x | safe }}", r"a.yaml.j2:1: No filter named 'safe'"),
        ("{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}", r"larger than"),
        ("{{ cycler('a') }}", r"a.yaml.j2:1: a template may hold text"),
    ],
)
def test_invalid_jinja_file_names_line(tmp_path, text, message):
    write(tmp_path, "secret", "x")
    folder = tmp_path / "folder"
    path = write(folder, "a.yaml.j2", text)
    (folder / "link").symlink_to(tmp_path / "secret")

    with pytest.raises(InputError, match=message):
        open_source(path, {"x": "y"}).render()


def test_templates_of_every_origin_are_loaded_alike(tmp_path):
    plain = open_source(write(tmp_path, "a.yaml", TOPIC))
    jinja_file = open_source(write(tmp_path, "b.yaml.j2", TOPIC))
    stdin = open_source("-", stdin=io.BytesIO(TOPIC.encode()))
    construct = construct_source(Registry(scope=Scope(region="eu-central-1", name="shop"), name="images"))

    loaded = [load_template(each) for each in (plain, jinja_file, stdin, construct)]

    assert [each.parsed["Resources"].keys() for each in loaded[:3]] == [{"Topic"}] * 3
    assert [each.folder for each in loaded] == [tmp_path, tmp_path, Path(), None]
    assert {each["Type"] for each in loaded[3].parsed["Resources"].values()} == {"AWS::ECR::Repository"}


def test_includes_are_resolved_in_template_dir(tmp_path):
    write(tmp_path, "parts/topic.j2", TOPIC)
    path = write(tmp_path, "apps/a.yaml.j2", "{% include 'parts/topic.j2' %}")

    assert open_source(path, template_dir=tmp_path).render().body == TOPIC


def test_file_outside_template_dir_is_refused(tmp_path):
    (tmp_path / "parts").mkdir()

    with pytest.raises(InputError, match="is not below the folder of templates"):
        open_source(write(tmp_path, "a.yaml.j2", TOPIC), template_dir=tmp_path / "parts").render()


def test_unreadable_result_names_line_of_rendered_text(tmp_path):
    source = open_source(write(tmp_path, "a.yaml.j2", "{% if true %}\n{% endif %}\na: {{ x }}-b\n"), {"x": "y"})

    with pytest.raises(InputError, match="in line 1 of the rendered text") as caught:
        load_template(source)

    assert "quoted value" in caught.value.hint


def test_variables_are_read_with_types(tmp_path):
    path = write(tmp_path, "vars.yaml", "a: 1\nb: [x, 2020-01-01]\nc: {d: null}\n")

    assert jinja.read_variables(path) == {"a": 1, "b": ["x", "2020-01-01"], "c": {"d": None}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "v.yaml:2 cannot be read: duplicate key 'a'"),
        ('{"a": 1, "a": 2}', "duplicate key 'a'"),
        ("[a]", "not a mapping"),
        ("a-b: 1", "'a-b' is not the name of a variable"),
        ("a: !!python/name:os.system x", "v.yaml:1 cannot be read"),
    ],
)
def test_invalid_variables_file_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        jinja.read_variables(write(tmp_path, "v.yaml", text))


def test_variable_option_is_parsed():
    assert jinja.parse_variable("a=b=c") == ("a", "b=c")
    for text in ("a", "=b", "a-b=c", "1=a"):
        with pytest.raises(InputError, match="write NAME=VALUE"):
            jinja.parse_variable(text)
