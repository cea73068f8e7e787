"""`deploy-fleet --prune` and `delete-fleet` in the sandbox."""

from __future__ import annotations

import json

import pytest

from tests.fleets.test_live import CREDENTIALS, TARGET, fleet_of, stacks

pytestmark = pytest.mark.live

NAMED = "name: shop\n" + TARGET
BOTH = fleet_of(("Slc", "ci: "), ("Jdbc", "ci: "), start=NAMED)
ONE = fleet_of(("Slc", "ci: "), start=NAMED)


@pytest.fixture
def fleet(here, tmp_path):
    def run(command: str, text: str, *options: str):
        path = tmp_path / "fleet.yaml"
        path.write_text(text, encoding="utf-8")
        return here(command, str(path), *options)

    return run


def test_removed_project_is_deleted_only_with_prune(fleet, live):
    assert fleet("deploy-fleet", BOTH, "--yes", "--no-lint").code == 0

    without = fleet("deploy-fleet", ONE, "--yes", "--no-lint")
    planned = fleet("deploy-fleet", ONE, "--prune", "--plan", "--no-lint")
    kept = stacks(live)
    refused = fleet("deploy-fleet", ONE, "--prune", "--yes", "--no-lint")
    pruned = fleet("deploy-fleet", ONE, "--prune", "--yes", "--no-lint", "--allow-data-loss")

    assert "main/Jdbc; to delete them, add --prune" in without.stderr
    assert "Plan for stack Jdbc (delete)" in planned.stdout
    assert set(kept) == {CREDENTIALS, "Slc", "Jdbc"}
    assert refused.code == 1
    assert "--allow-data-loss" in refused.stderr
    assert pruned.code == 0, pruned.stderr
    assert ["main", "Jdbc", "deleted"] in [line.split() for line in pruned.stdout.splitlines()]
    assert set(stacks(live)) == {CREDENTIALS, "Slc"}


def test_stacks_of_other_fleets_are_not_pruned(fleet, live):
    fleet("deploy-fleet", fleet_of(("Jdbc", "ci: "), start=NAMED.replace("shop", "other")), "--yes", "--no-lint")

    ran = fleet("deploy-fleet", ONE, "--prune", "--yes", "--no-lint")

    assert ran.code == 0, ran.stderr
    assert "Jdbc" in stacks(live)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (fleet_of(("Slc", "ci: ")), ["--prune"], "needs the name of the fleet"),
        (ONE, ["--prune", "--select", "Slc"], "--prune does not work with --select"),
        (ONE, ["--empty"], "--empty has no effect without --prune"),
    ],
)
def test_prune_without_its_requirements_exits_2(fleet, live, text, options, message):
    ran = fleet("deploy-fleet", text, "--plan", *options)

    assert ran.code == 2
    assert message in ran.stderr
    assert stacks(live) == {}


def test_fleet_is_planned_deleted_and_then_gone(fleet, live):
    fleet("deploy-fleet", BOTH, "--yes", "--no-lint")

    planned = fleet("delete-fleet", BOTH, "--plan")
    kept = stacks(live)
    one = fleet("delete-fleet", BOTH, "--select", "Jdbc", "--yes")
    rest = set(stacks(live))
    deleted = fleet("delete-fleet", BOTH, "--yes", "--output", "json")
    again = fleet("delete-fleet", BOTH, "--yes")

    assert "Plan for stack Slc (delete)" in planned.stdout
    assert len(kept) == 3
    assert (one.code, rest) == (0, {CREDENTIALS, "Slc"})
    result = json.loads(deleted.stdout.splitlines()[-1])
    assert (result["status"], set(result["stacks"])) == ("deleted", {"main/Slc", f"main/{CREDENTIALS}"})
    assert stacks(live) == {}
    assert (again.code, "no changes" in again.stderr) == (0, True)


def test_deletion_without_terminal_and_yes_changes_nothing(fleet, live):
    fleet("deploy-fleet", ONE, "--yes", "--no-lint")

    ran = fleet("delete-fleet", ONE)

    assert ran.code == 2
    assert "Slc" in stacks(live)


def test_note_on_several_stacks_is_printed_once(fleet):
    projects = [(f"Repo{number}", "ci: ") for number in range(1, 6)]

    without = "targets:\n  main: {region: eu-central-1}\n"

    ran = fleet("deploy-fleet", fleet_of(*projects, start=without), "--plan", "--no-lint")

    assert ran.code == 0, ran.stderr
    assert "main/Repo1 … main/Repo5 (5 stacks): CodeBuild has no access to GitHub" in ran.stderr
    assert ran.stderr.count("CodeBuild has no access to GitHub") == 1


def test_credential_that_another_stack_uses_is_kept(fleet, here, live):
    other = ("--project", "Other", "--project-url", "https://github.com/exasol/other", "--yes", "--no-lint")
    assert fleet("deploy-fleet", ONE, "--yes", "--no-lint").code == 0
    assert here("deploy-ci-build", *other).code == 0

    kept = fleet("delete-fleet", ONE, "--yes")
    again = fleet("delete-fleet", ONE, "--yes")
    remaining = set(stacks(live))
    assert here("delete", "Other", "--yes").code == 0
    deleted = fleet("delete-fleet", ONE, "--yes")

    assert (kept.code, again.code, deleted.code) == (0, 0, 0), kept.stderr
    assert f"main/{CREDENTIALS} is kept: Other uses it" in kept.stderr
    assert remaining == {CREDENTIALS, "Other"}
    assert stacks(live) == {}


def test_wrong_account_of_unused_target_is_rejected_before_search(here, live, tmp_path):
    path = tmp_path / "fleet.yaml"
    unused = '  old: {region: eu-west-1, allowed_accounts: ["999999999999"]}\ndefaults: {target: main}\n'
    path.write_text(ONE.replace("projects:", f"{unused}projects:"), encoding="utf-8")

    ran = here("deploy-fleet", str(path), "--prune", "--plan", "--no-lint")

    assert ran.code == 4, ran.stderr
    assert "target old leads to account" in ran.stderr
    assert stacks(live) == {}


def test_many_equal_deletions_are_shown_once(here, tmp_path, live):
    (tmp_path / "queue.yaml").write_text("Resources: {Queue: {Type: AWS::SQS::Queue}}\n", encoding="utf-8")
    (tmp_path / "topic.yaml").write_text("Resources: {Topic: {Type: AWS::SNS::Topic}}\n", encoding="utf-8")
    entries = "".join(f"  q{number}: {{template: queue.yaml}}\n" for number in range(7))
    file = tmp_path / "fleet.yaml"
    text = f"targets: {{main: {{region: eu-central-1}}}}\nstacks:\n{entries}  topic: {{template: topic.yaml}}\n"
    file.write_text(text, encoding="utf-8")
    assert here("deploy-fleet", str(file), "--yes", "--no-lint").code == 0

    planned = here("delete-fleet", str(file), "--plan")
    records = here("delete-fleet", str(file), "--plan", "--output", "json").records
    deleted = here("delete-fleet", str(file), "--yes")

    assert planned.stdout.count("(delete)") == 2
    assert "main/q5 … main/q0 (6 stacks): the same plan as main/q6" in planned.stdout
    assert "\n\nTarget main\nPlan for stack q6 (delete)\n" in planned.stdout
    assert len([each for each in records if each["type"] == "plan"]) == 8
    assert deleted.code == 0, deleted.stderr
    assert "main/q6: deleting\n" in deleted.stderr
    assert "8 stacks deleted" in deleted.stderr
    assert stacks(live) == {}
