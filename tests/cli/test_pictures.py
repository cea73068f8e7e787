"""Commands `graph` and `timeline`."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

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


def texts(svg):
    return [element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314 - our own


@pytest.fixture
def template(program, tmp_path):
    ran = program("validate-ci-build", "--offline", "--print-template", "--project", "Slc", "--project-url", URL)
    file = tmp_path / "template.yaml"
    file.write_text(ran.stdout)
    return file


def test_graph_of_template_prints_svg_without_aws(program, template):
    ran = program("graph", str(template))

    assert ran.code == 0
    assert "ArtifactsBucket" in texts(ran.stdout)


@pytest.mark.parametrize("name", ["picture.svg", "picture.png", "PICTURE.PNG"])
def test_graph_with_to_writes_file(program, template, tmp_path, name):
    ran = program("graph", str(template), "--to", str(tmp_path / name))

    assert (ran.code, ran.stdout) == (0, "")
    assert f"wrote {tmp_path / name}" in ran.stderr
    assert (tmp_path / name).read_bytes().startswith(b"\x89PNG" if name.lower().endswith("png") else b"<svg")


def test_graph_to_device_keeps_device(program, template, tmp_path):
    (tmp_path / "null.svg").symlink_to("/dev/null")

    ran = program("graph", str(template), "--to", str(tmp_path / "null.svg"))

    assert (ran.code, ran.stdout) == (0, "")
    assert (tmp_path / "null.svg").is_symlink()


def test_graph_of_program_shows_its_stacks(program, tmp_path):
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)

    ran = program("graph", str(file))

    assert ran.code == 0
    assert {"team-image", "team-source", "team-registry", "Project"} <= set(texts(ran.stdout))


@pytest.mark.parametrize(
    ("content", "arguments", "says"),
    [
        (None, (), "cannot be read"),
        ("Resources: [", (), "template.yaml"),
        ("Resources: {}", ("--to", "picture.gif"), "has no known file type"),
        ("Resources: {}", ("--to", "nowhere/picture.svg"), "cannot be written"),
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

    assert (shown.code, as_json.code, page.code) == (0, 0, 0)
    assert shown.stdout.startswith("SlcRelease: CREATE_COMPLETE after")
    assert "* CodeBuild " in shown.stdout
    record = as_json.records[0]
    assert record["type"] == "timeline"
    assert any(bar["is_critical"] for bar in record["bars"])
    assert "<svg" in (tmp_path / "t.html").read_text()


@pytest.mark.live
def test_timeline_of_missing_stack_fails(here):
    ran = here("timeline", "Nowhere")

    assert ran.code == 1
    assert "'Nowhere' does not exist" in ran.stderr
