"""Commands `graph` and `timeline`."""

from __future__ import annotations

import re

import pytest

from tests.graphviz import require_program

URL = "https://github.com/exasol/script-languages-release"
PROGRAM = """
from exasol_ci_setup import Asset, BuildkitBuilder, ContainerBuilder, Registry, Scope

def hangar_run():
    scope = Scope(name="team", region="eu-central-1")
    ContainerBuilder(
        name="image",
        asset=Asset(scope=scope, name="source"),
        builder=BuildkitBuilder(scope=scope, name="host"),
        registry=Registry(scope=scope, name="registry"),
    ).deploy()
"""


@pytest.fixture
def template(program, tmp_path):
    ran = program("validate-ci-build", "--offline", "--print-template", "--project", "Slc", "--project-url", URL)
    file = tmp_path / "template.yaml"
    file.write_text(ran.stdout)
    return file


def test_graph_of_template_prints_mermaid_without_aws(program, template):
    ran = program("graph", str(template))
    as_json = program("graph", str(template), "--output", "json")

    assert ran.code == 0
    assert ran.stdout.startswith("flowchart RL\n")
    assert '["ArtifactsBucket<br/>S3::Bucket"]' in ran.stdout
    assert as_json.records == [
        {**as_json.records[0], "type": "picture", "format": "mermaid", "text": ran.stdout},
    ]


@pytest.mark.parametrize(
    ("name", "options", "begin"),
    [
        ("graph.mmd", (), "flowchart RL\n"),
        ("GRAPH.MD", (), "```mermaid\nflowchart RL\n"),
        ("graph.dot", (), 'digraph "The resources of template.yaml" {\n'),
        ("graph.txt", ("--format", "dot"), "digraph "),
    ],
)
def test_graph_file_suffix_or_option_selects_format(program, template, tmp_path, name, options, begin):
    ran = program("graph", str(template), "--to", str(tmp_path / name), *options)

    assert (ran.code, ran.stdout) == (0, "")
    assert f"wrote {tmp_path / name}" in ran.stderr
    assert (tmp_path / name).read_text().startswith(begin)


@pytest.mark.parametrize(("name", "begin"), [("picture.svg", b"<?xml"), ("PICTURE.PNG", b"\x89PNG\r\n")])
def test_graph_to_picture_file_uses_graphviz(program, template, tmp_path, name, begin):
    require_program()

    ran = program("graph", str(template), "--to", str(tmp_path / name))

    assert (ran.code, ran.stdout) == (0, "")
    assert (tmp_path / name).read_bytes().startswith(begin)


def test_graph_without_graphviz_fails_and_keeps_file(program, template, tmp_path, monkeypatch):
    (tmp_path / "picture.svg").write_text("old")
    monkeypatch.setenv("PATH", str(tmp_path))

    ran = program("graph", str(template), "--to", str(tmp_path / "picture.svg"))

    assert ran.code == 1
    assert "Graphviz's `dot` is not on the PATH" in ran.stderr
    assert "apt-get install graphviz" in ran.stderr
    assert (tmp_path / "picture.svg").read_text() == "old"


def test_graph_to_device_keeps_device(program, template, tmp_path):
    (tmp_path / "null.dot").symlink_to("/dev/null")

    ran = program("graph", str(template), "--to", str(tmp_path / "null.dot"))

    assert (ran.code, ran.stdout) == (0, "")
    assert (tmp_path / "null.dot").is_symlink()


def test_graph_of_program_shows_its_stacks(program, tmp_path):
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)

    ran = program("graph", str(file))

    assert ran.code == 0
    assert set(re.findall(r'subgraph s\d\["(.*)"\]', ran.stdout)) == {"team-image", "team-source", "team-registry"}


@pytest.mark.parametrize(
    ("content", "arguments", "says"),
    [
        (None, (), "cannot be read"),
        ("Resources: [", (), "template.yaml:2 cannot be read"),
        ("Resources: {}", (), "template.yaml is not a template: it has no Resources"),
        ("Resources: {}", ("--to", "picture.gif"), "has no known file type"),
        ("Resources: {}", ("--format", "png"), "is not text"),
        ("Resources: {T: {Type: AWS::SNS::Topic}}", ("--to", "nowhere/picture.dot"), "cannot be written"),
    ],
)
def test_invalid_graph_input_exits_2_with_one_line(program, tmp_path, content, arguments, says):
    file = tmp_path / "template.yaml"
    if content is not None:
        file.write_text(content)

    ran = program("graph", str(file), *arguments)

    assert ran.code == 2
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.live
def test_timeline_prints_text_record_and_html(here, tmp_path):
    assert here("deploy-release-build", "--project", "Slc", "--project-url", URL, "--yes", "--no-lint").code == 0

    shown = here("timeline", "SlcRelease")
    as_json = here("timeline", "SlcRelease", "--output", "json")
    page = here("timeline", "SlcRelease", "--to", str(tmp_path / "t.html"))
    removed = here("timeline", "SlcRelease", "--to", str(tmp_path / "t.svg"))

    assert (shown.code, as_json.code, page.code) == (0, 0, 0)
    assert (removed.code, "no longer writes SVG" in removed.stderr) == (2, True)
    assert shown.stdout.startswith("SlcRelease: CREATE_COMPLETE after")
    assert "* CodeBuild " in shown.stdout
    record = as_json.records[0]
    assert record["type"] == "timeline"
    assert any(bar["is_critical"] for bar in record["bars"])
    assert "<!doctype html>" in (tmp_path / "t.html").read_text()


@pytest.mark.live
def test_timeline_of_missing_stack_fails(here):
    ran = here("timeline", "Nowhere")

    assert ran.code == 1
    assert "'Nowhere' does not exist" in ran.stderr
