"""What is read from buildspec files, and what is refused with the place in the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.errors import InputError
from exasol_ci_setup.runner.buildspec import BatchBuild, Document, choose

PATH = Path("ci/buildspec.yaml")
PHASES = "phases: {build: {commands: [make]}}\n"


def document(text: str, version: str = "0.2") -> Document:
    return Document(PATH, f"version: {version}\n{text}")


def test_scalars_stay_as_they_were_written():
    spec = document("env: {variables: {A: 3.10, B: no, C: 010, D: '', E: 1e3}}\n" + PHASES).buildspec()

    assert spec.variables == {"A": "3.10", "B": "no", "C": "010", "D": "", "E": "1e3"}


def test_a_rare_letter_may_be_written_as_json_does():
    assert document(r'phases: {build: {commands: ["\ud83d\ude00"]}}').buildspec().phases[0].commands == ("\U0001f600",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (r'phases: {build: {commands: ["\UFFFFFFFF"]}}', "an escaped letter beyond"),
        (r'phases: {build: {commands: ["\U00110000"]}}', "an escaped letter beyond"),
        (r'phases: {build: {commands: ["a\0b"]}}', "holds the letter NUL"),
        (r'batch: {build-list: [{buildspec: "a\0b"}]}', "holds the letter NUL"),
        (r'"a\0b": c', "holds the letter NUL"),
    ],
)
def test_letters_that_nothing_can_hold_are_refused(text, told):
    with pytest.raises(InputError, match=f"^ci/buildspec.yaml .*{told}"):
        document(text)


def test_phases_come_in_codebuilds_order_not_in_the_files():
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
def test_any_text_is_a_command_unchanged(texts):
    import yaml

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


def test_what_is_not_done_here_is_noted_once_each():
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
        ("phases: [build]", "phases: a list where a mapping belongs"),
        ("", "phases: there is none"),
        ("phases: {biuld: {commands: [a]}}", "phases/biuld: there is no such phase"),
        ("phases: {build: make}", "phases/build: text where a mapping belongs"),
        ("phases: {build: {commands: make}}", "phases/build/commands: text where a list belongs"),
        ("phases: {build: {commands: [a, echo b: c]}}", "phases/build/commands/1: a mapping where text belongs"),
        ("phases: {build: {finally: [[a]]}}", "phases/build/finally/0: a list where text belongs"),
        ("phases: {build: {commands: [a], on-failure: STOP}}", "phases/build/on-failure: 'STOP'"),
        (PHASES + "env: {shell: powershell.exe}", "env/shell: 'powershell.exe' cannot be used here"),
        (PHASES + "env: {variables: [A]}", "env/variables: a list where a mapping belongs"),
        (PHASES + "env: {variables: {A: [b]}}", "env/variables/A: a list where text belongs"),
        (PHASES + "env: {variables: {a-b: c}}", "env/variables: 'a-b' is no name for a variable"),
        (PHASES + "env: {exported-variables: [a b]}", "env/exported-variables: 'a b' is no name"),
        (PHASES + "artifacts: {name: x}", "artifacts/files: artifacts need at least one path"),
        (PHASES + "artifacts: {files: [a], discard-paths: maybe}", "artifacts/discard-paths: 'maybe'"),
        (
            PHASES + "artifacts: {secondary-artifacts: {../up: {files: [a]}}}",
            "artifacts/secondary-artifacts/../up: an identifier has letters",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text, place):
    with pytest.raises(InputError) as caught:
        document(text).buildspec()

    assert str(caught.value).startswith(f"ci/buildspec.yaml: {place}")


@pytest.mark.parametrize(
    "text", ["", "- a", "a: [", "version: 0.2\nphases: {a: b: c}", "\x00", "[" * 5000, "&a [*a]", '"\\ud800"']
)
def test_what_is_no_yaml_mapping_is_refused_with_the_files_name(text):
    with pytest.raises(InputError, match=r"ci/buildspec\.yaml is no "):
        Document(PATH, text)


@pytest.mark.parametrize(("version", "told"), [("0.3", "'0.3' is no version"), ("''", "is missing")])
def test_an_unknown_version_is_refused(version, told):
    with pytest.raises(InputError, match=told):
        document(PHASES, version)


def test_a_file_that_is_not_there_is_named_with_a_hint(tmp_path):
    with pytest.raises(InputError, match="there is no buildspec") as caught:
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


def test_the_builds_of_a_batch_are_read():
    first, second = document(BATCH).batch()

    assert first == BatchBuild("build_a", {"FLAVOR": "a-1"}, "ci/build.yaml", "i:1", privileged=True)
    assert (second.buildspec, second.privileged, second.flavors) == ("", False, ("b", "c"))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("batch: {build-graph: {a: b}}", "batch/build-graph: a mapping where a list"),
        ("batch: {build-list: [a]}", "batch/build-list/0: text where a mapping"),
        ("batch: {build-list: []}", "batch: it holds no builds"),
        (
            "batch: {build-list: [{env: {privileged-mode: perhaps}}]}",
            "batch/build-list/0/env/privileged-mode: 'perhaps'",
        ),
        ("batch: {build-matrix: {}}", "batch/build-matrix: a matrix cannot be run here"),
    ],
)
def test_a_batch_that_cannot_be_read_is_told_with_its_place(text, place):
    with pytest.raises(InputError) as caught:
        document(text).batch()

    assert str(caught.value).startswith(f"ci/buildspec.yaml: {place}")


@pytest.mark.parametrize(
    ("wanted", "identifier"),
    [({"flavor": "a-1"}, "build_a"), ({"flavor": "c"}, "build_bc"), ({"identifier": "build_bc"}, "build_bc")],
)
def test_a_build_is_chosen_by_flavor_or_identifier(wanted, identifier):
    assert choose(document(BATCH).batch(), PATH, **wanted).identifier == identifier


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ({}, "choose one with --flavor: a-1, b, c"),
        ({"flavor": "d"}, "it has a-1, b, c"),
        ({"identifier": "build_d"}, "it has build_a, build_bc"),
    ],
)
def test_a_choice_that_names_no_single_build_lists_what_there_is(wanted, hint):
    with pytest.raises(InputError) as caught:
        choose(document(BATCH).batch(), PATH, **wanted)

    assert caught.value.hint == hint


def test_an_only_build_needs_no_choice():
    builds = document(BATCH).batch()[:1]

    assert choose(builds, PATH) is builds[0]
