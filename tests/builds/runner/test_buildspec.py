"""Tests of parsing buildspec files, and of the location in errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.builds.runner.buildspec import BatchBuild, Document, choose
from exasol_ci_setup.core.errors import InputError

PATH = Path("ci/buildspec.yaml")
PHASES = "phases: {build: {commands: [make]}}\n"


def document(text: str, version: str = "0.2") -> Document:
    return Document(PATH, f"version: {version}\n{text}")


def test_scalars_remain_text():
    spec = document("env: {variables: {A: 3.10, B: no, C: 010, D: '', E: 1e3}}\n" + PHASES).buildspec()

    assert spec.variables == {"A": "3.10", "B": "no", "C": "010", "D": "", "E": "1e3"}


def test_surrogate_pair_is_one_character():
    assert document(r'phases: {build: {commands: ["\ud83d\ude00"]}}').buildspec().phases[0].commands == ("\U0001f600",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (r'phases: {build: {commands: ["\UFFFFFFFF"]}}', "escaped character above"),
        (r'phases: {build: {commands: ["\U00110000"]}}', "escaped character above"),
        (r'phases: {build: {commands: ["a\0b"]}}', "character NUL"),
        (r'batch: {build-list: [{buildspec: "a\0b"}]}', "character NUL"),
        (r'"a\0b": c', "character NUL"),
    ],
)
def test_invalid_character_is_rejected(text, reason):
    with pytest.raises(InputError, match=f"^ci/buildspec.yaml .*{reason}"):
        document(text)


def test_phases_are_in_order_of_codebuild():
    spec = document(
        "phases:\n  post_build: {commands: [d]}\n  install: {commands: [a], finally: [b], on-failure: CONTINUE}\n"
    ).buildspec()

    assert [phase.name for phase in spec.phases] == ["install", "post_build"]
    assert spec.phases[0].commands == ("a",)
    assert spec.phases[0].finally_commands == ("b",)
    assert spec.phases[0].on_failure == "CONTINUE"


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], include_characters="\n\t")), min_size=1
    )
)
def test_command_text_is_unchanged(texts):
    spec = Document(PATH, yaml.safe_dump({"version": "0.2", "phases": {"build": {"commands": texts}}})).buildspec()

    assert spec.phases[0].commands == tuple(texts)


def test_shells_artifacts_secrets_and_exported_variables_are_read():
    spec = document(
        """
env:
  shell: /bin/bash
  parameter-store: {P: /a/b}
  secrets-manager: {S: "Dockerhub:User"}
  exported-variables: [OUT]
artifacts:
  files: ["**/*"]
  base-directory: out
  exclude-paths: ["*.tmp"]
  discard-paths: yes
  name: n-$X
  secondary-artifacts:
    logs: {files: [log]}
"""
        + PHASES
    ).buildspec()

    assert spec.shell == "bash"
    assert spec.secrets == {"P": "parameter-store /a/b", "S": "secrets-manager Dockerhub:User"}
    assert spec.exported == ("OUT",)
    primary, logs = spec.artifacts
    assert (primary.files, primary.base_directory, primary.exclude_paths) == (("**/*",), "out", ("*.tmp",))
    assert (primary.discard_paths, primary.name, primary.identifier) == (True, "n-$X", "")
    assert (logs.identifier, logs.files) == ("logs", ("log",))


def test_each_ignored_setting_has_one_note():
    spec = document(
        """
run-as: nobody
proxy: {logs: yes}
cache: {paths: [a, b]}
reports: {r: {files: [x]}}
surprise: 1
env: {git-credential-helper: yes}
phases:
  install: {runtime-versions: {python: 3.x}, run-as: me}
  build: {commands: [make], on-failure: RETRY-3}
"""
    ).buildspec()

    about = [note.split("`")[1] for note in spec.notes]
    assert sorted(about) == sorted(
        [
            *("run-as", "proxy", "cache", "reports", "surprise", "env/git-credential-helper"),
            *("phases/install/runtime-versions", "phases/install/run-as", "phases/build/on-failure"),
        ]
    )
    assert spec.phases[1].on_failure == "ABORT"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("phases: [build]", "phases: expected a mapping, found a list"),
        ("", "phases: missing"),
        ("phases: {biuld: {commands: [a]}}", "phases/biuld: unknown phase"),
        ("phases: {build: make}", "phases/build: expected a mapping, found text"),
        ("phases: {build: {commands: make}}", "phases/build/commands: expected a list, found text"),
        ("phases: {build: {commands: [a, echo b: c]}}", "phases/build/commands/1: expected text, found a mapping"),
        ("phases: {build: {finally: [[a]]}}", "phases/build/finally/0: expected text, found a list"),
        ("phases: {build: {commands: [a], on-failure: STOP}}", "phases/build/on-failure: 'STOP'"),
        (PHASES + "env: {shell: powershell.exe}", "env/shell: 'powershell.exe' is not supported"),
        (PHASES + "env: {variables: [A]}", "env/variables: expected a mapping, found a list"),
        (PHASES + "env: {variables: {A: [b]}}", "env/variables/A: expected text, found a list"),
        (PHASES + "env: {variables: {a-b: c}}", "env/variables: 'a-b' is not a valid variable name"),
        (PHASES + "env: {exported-variables: [a b]}", "env/exported-variables: 'a b' is not a valid"),
        (PHASES + "artifacts: {name: x}", "artifacts/files: artifacts need at least one path"),
        (PHASES + "artifacts: {files: [a], discard-paths: maybe}", "artifacts/discard-paths: 'maybe'"),
        (
            PHASES + "artifacts: {secondary-artifacts: {../up: {files: [a]}}}",
            "artifacts/secondary-artifacts/../up: an identifier consists of letters",
        ),
    ],
)
def test_invalid_value_is_named_with_its_location(text, place):
    with pytest.raises(InputError) as caught:
        document(text).buildspec()

    assert str(caught.value).startswith(f"ci/buildspec.yaml: {place}")


@pytest.mark.parametrize(
    "text", ["", "- a", "a: [", "version: 0.2\nphases: {a: b: c}", "\x00", "[" * 5000, "&a [*a]", '"\\ud800"']
)
@pytest.mark.usefixtures("_usual_recursion")
def test_text_other_than_yaml_mapping_is_rejected_with_file_name(text):
    with pytest.raises(InputError, match=r"ci/buildspec\.yaml is not "):
        Document(PATH, text)


@pytest.mark.parametrize(("version", "reason"), [("0.3", "'0.3' is not a version"), ("''", "version: missing")])
def test_unknown_version_is_rejected(version, reason):
    with pytest.raises(InputError, match=reason):
        document(PHASES, version)


def test_missing_file_is_named_with_hint(tmp_path):
    with pytest.raises(InputError, match="buildspec not found") as caught:
        Document.read(tmp_path / "none.yaml")

    assert "generate-buildspec" in caught.value.hint


BATCH = """
batch:
  build-graph:
    - identifier: build_a
      env: {variables: {FLAVOR: a-1}, image: i:1, privileged-mode: true}
      buildspec: ci/build.yaml
    - identifier: build_bc
      env: {variables: {FLAVORS: b c}}
"""


def test_builds_of_batch_are_read():
    first, second = document(BATCH).batch()

    assert first == BatchBuild("build_a", {"FLAVOR": "a-1"}, "ci/build.yaml", "i:1", privileged=True)
    assert (second.buildspec, second.privileged, second.flavors) == ("", False, ("b", "c"))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("batch: {build-graph: {a: b}}", "batch/build-graph: expected a list of builds, found a mapping"),
        ("batch: {build-list: [a]}", "batch/build-list/0: expected a mapping, found text"),
        ("batch: {build-list: []}", "batch: it has no builds"),
        (
            "batch: {build-list: [{env: {privileged-mode: perhaps}}]}",
            "batch/build-list/0/env/privileged-mode: 'perhaps'",
        ),
        ("batch: {build-matrix: {}}", "batch/build-matrix: a matrix cannot run locally"),
    ],
)
def test_invalid_batch_is_named_with_its_location(text, place):
    with pytest.raises(InputError) as caught:
        document(text).batch()

    assert str(caught.value).startswith(f"ci/buildspec.yaml: {place}")


@pytest.mark.parametrize(
    ("wanted", "identifier"),
    [({"flavor": "a-1"}, "build_a"), ({"flavor": "c"}, "build_bc"), ({"identifier": "build_bc"}, "build_bc")],
)
def test_flavor_or_identifier_selects_build(wanted, identifier):
    assert choose(document(BATCH).batch(), PATH, **wanted).identifier == identifier


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ({}, "choose one with --flavor: a-1, b, c"),
        ({"flavor": "d"}, "it has a-1, b, c"),
        ({"identifier": "build_d"}, "it has build_a, build_bc"),
    ],
)
def test_ambiguous_or_unknown_choice_lists_builds(wanted, hint):
    with pytest.raises(InputError) as caught:
        choose(document(BATCH).batch(), PATH, **wanted)

    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("wanted", "error", "hint"),
    [
        ({"flavor": "a"}, "has 2 builds for 'a'", "choose one with --build: one, two"),
        ({"identifier": "one"}, "has 2 builds for 'one'", "choose one with --build: one, one"),
        ({}, "has 3 builds, but one run executes one build", "choose one with --build: one, two, one"),
    ],
)
def test_several_matching_builds_are_rejected(wanted, error, hint):
    variables = {"FLAVOR": "a"} if wanted.get("flavor") else {}
    builds = [BatchBuild("one", variables), BatchBuild("two", variables), BatchBuild("one", {})]

    with pytest.raises(InputError, match=error) as caught:
        choose(builds, PATH, **wanted)

    assert caught.value.hint == hint


def test_only_build_needs_no_choice():
    builds = document(BATCH).batch()[:1]

    assert choose(builds, PATH) is builds[0]
