"""Documents of --output markdown: order, folding, equal plans, limits, and what users could inject."""

from __future__ import annotations

import json
from dataclasses import replace
from textwrap import dedent

import pytest
from hypothesis import given

from exasol_ci_setup.cli.render.markdown import LIMIT, MarkdownReporter
from exasol_ci_setup.core.errors import DeployFailedError, DifferencesFoundError, StackError, TemplateRejectedError
from exasol_ci_setup.core.errors.details import Diagnosis, Finding
from exasol_ci_setup.core.stacks import (
    ABSENT,
    Broadening,
    Change,
    Plan,
    PropertyChange,
    PropertyDrift,
    ResourceDrift,
    Setting,
)
from exasol_ci_setup.core.task_graph import End, Ended
from tests.cli.test_markdown_text import parsers, texts
from tests.github import page

COMMENT = 65_536  # characters of a comment on GitHub
URL = "https://github.com/o/r"
CI = ("ci-build", "--project", "Slc", "--project-url", URL)


def update(text="x", *, name="Slc", **more):
    """Return a plan in which `text` is each text that AWS or a user chose."""
    changes = (
        Change("Remove", f"Data{text}", "AWS::S3::Bucket", policy_action="Delete", data_loss=True),
        Change(
            *("Modify", f"Web{text}", f"T{text}"),
            replacement="True",
            properties=(
                PropertyChange(f"a.{text}", f"{text}1", f"{text}2", "Always"),
                PropertyChange("b", ABSENT, {text: [text]}),
            ),
        ),
        Change("Modify", "Caused", "T", causes=(text,)),
        Change("Modify", "Inner", "AWS::CloudFormation::Stack", nested=(Change("Add", f"Topic{text}", "T"),)),
        Change(f"New{text}", "Unknown", "T"),
    )
    return Plan(
        *(name, "UPDATE"),
        change_set_id="arn",
        changes=changes,
        settings=(Setting(f"tags.{text}", ABSENT, text),),
        broadenings=(
            Broadening("iam-allow", "R", f"role may {text}", granted=True),
            Broadening("ingress", "R", f"open to {text}", public=True),
        ),
        notes=(text,),
        drift=(ResourceDrift(f"Web{text}", "T", "", "MODIFIED", (PropertyDrift(text, text, f"{text}2"),)),),
        **more,
    )


def created(name, project="", **more):
    tag = Setting("tags.exasol-ci-setup:project", ABSENT, project or name)
    access = Broadening("iam-allow", "Role", f"role Role may start {name}Build")
    changes = (Change("Add", "Bucket", "AWS::S3::Bucket"), Change("Add", "Role", "AWS::IAM::Role"))
    return replace(Plan(name, "CREATE", f"arn:{name}:1", f"set:{name}", changes, (tag,), broadenings=(access,)), **more)


def collected(plans, *results, notes=()):
    reporter = MarkdownReporter()
    for name, plan in plans.items():
        reporter.of(name).plan(plan)
    for result in results:
        reporter.result(result)
    for name, note in notes:
        reporter.of(name).note(note)
    return reporter.document()


def several():
    failure = StackError("stack Broken cannot be updated", hint="run `exasol-ci-setup delete Broken`")
    return collected(
        {
            "ci/Repo01": created("Repo01"),
            "ci/Repo02": created("Repo02"),
            "ci/Repo03": created("Repo03"),
            "ci/Odd": created("Odd", notes=("a note",)),
            "ci/Slc": update(),
            "us/Same": Plan("Same", "UPDATE"),
        },
        Ended("us/Broken", End.FAILED, failure),
        Ended("us/Next", End.SKIPPED, because=("us/Broken",)),
        Finding("W1", "warning", "unused", "", 3, "ci_build"),
        failure,
        notes=[("ci/Slc", "AWS cannot plan nested stacks"), ("us/Same", "kept")],
    )


def test_document_of_several_stacks_matches_golden_file(golden):
    golden("markdown/several_stacks.md", several())


def test_document_of_one_stack_matches_golden_file(golden):
    golden("markdown/one_stack.md", collected({"Slc": update()}))


def test_summary_data_loss_and_access_precede_folded_details():
    text = several()
    order = [
        "## Plan for 8 stacks",
        "**Data loss**",
        "Access that is broadened",
        "(public, needs approval)",
        "**Failed**",
    ]

    assert [text.index(words) for words in order] == sorted(text.index(words) for words in order)
    assert "us/Broken" in text.partition("<details>")[0]
    assert max(text.index(words) for words in order) < text.index("<details>")


@parsers
@given(texts)
def test_no_text_of_plan_changes_document(parser, text):
    shown, harmless = page(collected({"Slc": update(text)}), parser), page(collected({"Slc": update()}), parser)

    assert shown.tags == harmless.tags
    assert shown.outside == harmless.outside


@parsers
@given(texts)
def test_no_text_of_results_changes_document(parser, text):
    def of(words):
        results = [
            Ended(f"b{words}", End.FAILED, StackError(f"failed{words}", hint=f"{words}fix")),
            Finding(f"E{words}", "error", f"message{words}", "", 1, f"template{words}"),
            {"type": "diff", "path": f"p{words}", "diff": f"+a {words}\n-b\n"},
            {"type": "template", "name": f"t{words}", "body": f"a: {words}\n"},
        ]
        names = {f"ci/{words}": created("A"), f"ci/2{words}": Plan("B", "UPDATE")}
        return page(collected(names, *results, notes=[("", f"note {words}"), (f"ci/{words}", words)]), parser)

    def paragraphs(shown):
        # An error has a paragraph for each of its lines.
        return [tag for tag in shown.tags if tag not in {"p", "/p", "code", "/code"}]

    shown, harmless = of(text), of("x")
    assert paragraphs(shown) == paragraphs(harmless)
    assert shown.outside.split() == harmless.outside.split()


def test_plans_equal_except_for_names_are_shown_once():
    names = [f"Repo{number:02}" for number in range(1, 21)]
    text = collected({f"ci/{name}": created(name) for name in names})

    assert "### Plan for stack `ci/Repo01` and 19 equal stacks (new): 2 to add" in text
    assert text.count("<details>") == 1
    assert all(f"- `ci/{name}`" in text for name in names)
    assert "## Plan for 20 stacks: 20 new\n\n40 to add" in text


@pytest.mark.parametrize(
    "other",
    [
        created("Other", notes=("a note",)),
        created("Other", settings=()),
        created("Other", changes=(Change("Add", "Bucket", "AWS::S3::Bucket"),)),
        created("Other", broadenings=(Broadening("iam-allow", "Role", "role Role may start OtherBuild2"),)),
        replace(created("Other"), kind="UPDATE"),
    ],
)
def test_plan_that_differs_is_shown_alone(other):
    assert collected({"Repo": created("Repo"), "Other": other}).count("<details>") == 2


def test_long_values_show_difference_and_length():
    item = PropertyChange("Policy", "x" * 5000 + "old", "x" * 5000 + "new")
    plan = Plan("Slc", "UPDATE", changes=(Change("Modify", "R", "T", properties=(item,)),))
    text = collected({"Slc": plan})

    assert 'old"` (cut, 5,005 characters)' in text
    assert 'new"` (cut, 5,005 characters)' in text
    assert len(text) < 1500


def test_large_document_keeps_limit_of_comments_and_says_what_is_missing():
    many = tuple(
        Change("Modify", f"R{number}", "T", properties=(PropertyChange("A", f"{number}ü" * 900, "|" * 900),))
        for number in range(40)
    )
    access = tuple(Broadening("iam-allow", "R", f"role may {number} {'|' * 400}") for number in range(90))
    plans = {
        f"S{n}": replace(update(name=f"S{n}"), changes=many, broadenings=access, stack_id=str(n)) for n in range(9)
    }
    plans |= {f"T{n}": replace(created(f"T{n}"), notes=(str(n),)) for n in range(600)}
    text = collected(plans)

    assert len(text) <= LIMIT <= COMMENT
    assert len(text.encode()) > LIMIT - 1000
    assert "more lines not shown" in text
    assert "more sections not shown" in text
    assert "_details of " in text
    shown = page(text).tags
    assert shown.count("details") == shown.count("/details") > 0
    assert text.startswith("## Plan for 609 stacks: ")


def test_error_of_command_is_in_document():
    diagnosis = Diagnosis("Slc", "ROLLBACK_COMPLETE", "Bucket", reason="name is taken")
    failed = DeployFailedError("stack Slc failed", diagnosis=diagnosis, hint="fix it")

    assert collected({}, failed).startswith("## Failed\n\n**Failed**\n\n`stack Slc failed`\n\n`hint: fix it`\n")
    assert "name is taken" in collected({}, failed)
    assert collected({}, TemplateRejectedError("t has errors")).startswith("## The template was rejected\n")
    assert collected({"Slc": update()}, StackError("x")).splitlines()[0].endswith(" (failed)")


def test_differences_are_blocks_of_code_with_summary():
    text = collected(
        {},
        {"type": "diff", "path": "a.yaml", "diff": "-a\n+```\n"},
        {"type": "diff", "path": "b.yaml", "diff": ""},
        DifferencesFoundError("a.yaml is not up to date"),
    )

    assert text.startswith("## 1 of 2 generated files outdated\n")
    assert page(text).code[-1] == "-a\n+```\n"


def test_reporter_approves_no_plan():
    assert MarkdownReporter().confirm(update()) is False
    assert MarkdownReporter().document() == ""


@pytest.mark.live
def test_plan_prints_markdown_and_changes_nothing(here):
    ran = here("deploy-ci-build", *CI[1:], "--plan", "--output", "markdown")

    assert ran.code == 0
    assert ran.stdout.startswith("## Plan for stack `Slc` (new): 6 to add, 0 to change, 0 to remove, 2 settings\n")
    assert "| add | `CodeBuild` | `AWS::CodeBuild::Project` |" in ran.stdout
    assert "plan only: nothing was changed" in ran.stderr
    assert here("status", "Slc").code == 1


@pytest.mark.live
def test_stack_without_changes_is_up_to_date(here):
    credentials = ("--secret-name", "github", "--secret-user-key", "user", "--secret-token-key", "token")
    assert here("deploy-source-credentials", *credentials, "--yes").code == 0

    ran = here("deploy-source-credentials", *credentials, "--plan", "--output", "markdown")

    assert (ran.code, ran.stdout) == (0, "## Stack `SLCSourceCredentials` is up to date\n")


@pytest.mark.parametrize(
    "command",
    [
        ("deploy-ci-build", *CI[1:]),
        ("deploy-template", "t.yaml"),
        ("deploy-fleet", "fleet.yaml"),
        ("delete-fleet", "fleet.yaml"),
        ("up", "program.py"),
        ("down", "program.py"),
        ("import", *CI, "--resource", "CodeBuild=x"),
        ("delete", "Slc"),
        ("generate-buildspec", "--flavor-root-path", "flavors"),
    ],
)
def test_markdown_without_preview_exits_2(program, command):
    ran = program(*command, "--output", "markdown")

    option = "--check" if command[0] == "generate-buildspec" else "--plan"
    assert ran.code == 2
    assert f"--output markdown needs {option}" in ran.stderr
    assert ran.stdout.startswith("## Failed\n")


@pytest.mark.parametrize("command", [("list",), ("deploy-ci-build", "--no-such-option")])
def test_invalid_options_are_reported_in_markdown(program, command):
    ran = program(*command, "--output=markdown")

    assert ran.code == 2
    assert ran.stdout.startswith("## Failed\n\n**Failed**\n\n`")


@pytest.mark.live
def test_values_of_noecho_parameters_are_not_shown(here, tmp_path):
    (tmp_path / "t.yaml").write_text(
        dedent("""\
        Parameters: {Password: {Type: String, NoEcho: true}}
        Resources:
          Value: {Type: "AWS::SSM::Parameter", Properties: {Type: String, Name: n, Value: !Ref Password}}
        """)
    )
    values = tmp_path / "values.json"
    command = ("deploy-template", str(tmp_path / "t.yaml"), "--parameters-file", str(values))
    values.write_text(json.dumps({"Password": "first-secret"}))
    assert here(*command, "--yes", "--no-lint").code == 0
    values.write_text(json.dumps({"Password": "other-secret"}))

    ran = here(*command, "--plan", "--no-lint", "--output", "markdown")

    assert ran.code == 0
    assert "`Value`" in ran.stdout
    assert "-secret" not in ran.stdout + ran.stderr


@pytest.mark.live
def test_fleet_prints_one_document(here, tmp_path):
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(
        dedent("""\
        targets: {ci: {region: eu-central-1}}
        defaults: {target: ci}
        projects:
          Slc1: {project_url: "https://github.com/o/a", ci: }
          Slc2: {project_url: "https://github.com/o/b", ci: }
          Slc3: {project_url: "https://github.com/o/c", ci: {docker_secret: missing}}
        """)
    )

    ran = here("deploy-fleet", str(fleet), "--plan", "--output", "markdown")

    assert ran.code == 2
    assert ran.stdout.startswith("## Plan for 3 stacks: 2 new, 1 failed\n\n12 to add")
    assert "secret 'missing' does not exist" in ran.stdout.partition("<details>")[0]
    assert "### `ci/Slc3`: failed" in ran.stdout
    assert "### Plan for stack `ci/Slc1` and 1 equal stack (new)" in ran.stdout


PROGRAM = """
    from exasol_ci_setup import Registry, Scope

    def hangar_run():
        scope = Scope(name="demo", region="eu-central-1")
        for name in ("one", "two"):
            Registry(scope=scope, name=name).deploy()
"""


@pytest.mark.live
def test_program_and_its_deletion_print_one_document(here, write):
    file = write(f"print('at import')\n{dedent(PROGRAM)}")

    planned = here("plan", file, "--output", "markdown")
    assert (planned.code, planned.stdout.splitlines()[0]) == (0, "## Plan for 2 stacks: 2 new")
    assert here("up", file, "--plan", "--output", "markdown").stdout == planned.stdout
    assert here("up", file, "--yes").code == 0
    assert here("up", file, "--plan", "--output", "markdown").stdout.startswith("## Plan for 2 stacks: 2 up to date\n")

    removed = here("down", file, "--plan", "--output", "markdown")
    assert (removed.code, removed.stdout.splitlines()[0]) == (0, "## Plan for 2 stacks: 2 to delete")
    assert removed.stdout.index("**Data loss**") < removed.stdout.index("<details>")
    assert "only if it is empty" in removed.stdout


@pytest.mark.live
def test_deletion_of_one_stack_prints_markdown(here):
    assert here("deploy-registry", "--name", "images", "--yes").code == 0

    ran = here("delete", "images", "--plan", "--output", "markdown")

    assert ran.code == 0
    assert ran.stdout.startswith("## Plan for stack `images` (delete): 1 to remove, 1 with data loss\n\n**Data loss**")


@pytest.mark.live
def test_diff_prints_markdown_and_exits_5(here):
    assert here("deploy-registry", "--name", "images", "--yes").code == 0
    same = here("diff", "registry", "--name", "images", "--output", "markdown")
    differs = here(
        "diff",
        "registry",
        "--name",
        "images",
        "--untagged-retention-in-days",
        "7",
        "--exit-code",
        "--output",
        "markdown",
    )

    assert (same.code, same.stdout) == (0, "## The template of stack `images` is the same as the deployed one\n")
    assert differs.code == 5
    assert differs.stdout.startswith("## The template of stack `images` differs from the deployed one\n")
    assert "```diff\n--- images (deployed)" in differs.stdout


def test_validation_prints_findings_in_markdown(program, tmp_path):
    valid = program("validate-registry", "--offline", "--name", "images", "--output", "markdown")
    (tmp_path / "bad.yaml").write_text("Resources: {A: {Type: 'AWS::S3::Bucket', Properties: {'Bucket|Name': x}}}\n")
    rejected = program("validate-template", str(tmp_path / "bad.yaml"), "--offline", "--output", "markdown")

    assert (valid.code, valid.stdout) == (0, "## The template of stack `images` is valid\n")
    assert rejected.code == 3
    assert rejected.stdout.startswith("## The template was rejected\n")
    rows = page(rejected.stdout).cells
    assert any(row[0] == "error" and "Bucket|Name" in row[4] for row in rows)


def test_outdated_files_are_shown_in_markdown(program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images" / "web").mkdir(parents=True)
    command = ("generate-buildspec", "--flavor-root-path", "images", "--build-command", "true")

    outdated = program(*command, "--check", "--output", "markdown")
    assert program(*command).code == 0
    same = program(*command, "--check", "--output", "markdown")

    assert outdated.code == 5
    assert outdated.stdout.startswith("## 2 of 2 generated files outdated\n")
    assert "```diff\n" in outdated.stdout
    assert (same.code, same.stdout) == (0, "## 0 of 2 generated files outdated\n")
