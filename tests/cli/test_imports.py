"""`--import-existing` as a user sees it."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.live

REGISTRY = ("deploy-registry", "--name", "images", "--yes", "--no-lint")
LOGS = "/aws/codebuild/ShopCodeBuild"
CI = ("deploy-ci-build", "--project", "Shop", "--project-url", "https://github.com/exasol/shop", "--no-lint")
CREDENTIALS = ("--secret-name", "github", "--secret-user-key", "user", "--secret-token-key", "token")


@pytest.fixture
def ready(here, live):
    assert here("deploy-source-credentials", *CREDENTIALS, "--yes", "--no-lint").code == 0
    live.client("logs").create_log_group(logGroupName=LOGS)


@pytest.mark.usefixtures("ready")
def test_what_is_taken_over_is_planned_compared_and_left_standing(here, live):
    planned = here(*CI, "--import-existing", "--plan")
    assert planned.code == 0
    assert "= CodeBuildLogGroup      AWS::Logs::LogGroup  (taken over into the stack)" in planned.stdout
    assert "5 to add, 0 to change, 0 to remove, 1 to import" in planned.stdout

    ran = here(*CI, "--import-existing", "--yes")
    assert ran.code == 0, ran.stderr
    assert 'RetentionInDays: "14" → (none)' in ran.stderr
    assert "`exasol-ci-setup drift Shop --revert` changes it" in ran.stderr

    same = here("diff", "ci-build", *CI[1:5], "--exit-code")
    assert same.code == 0
    assert "no differences" in same.stderr

    gone = here("delete", "Shop", "--yes")
    assert gone.code == 0
    assert "CodeBuildLogGroup  AWS::Logs::LogGroup  /aws/codebuild/ShopCodeBuild  (stays)" in gone.stderr
    assert [each["logGroupName"] for each in live.client("logs").describe_log_groups()["logGroups"]] == [LOGS]


@pytest.mark.usefixtures("ready")
def test_what_is_as_the_template_says_is_told_so(here, live):
    live.client("logs").put_retention_policy(logGroupName=LOGS, retentionInDays=14)
    live.client("logs").tag_log_group(
        logGroupName=LOGS, tags={"exasol-ci-setup:construct": "CiBuild", "exasol-ci-setup:project": "Shop"}
    )

    ran = here(*CI, "--import-existing", "--yes")

    assert ran.code == 0, ran.stderr
    assert "what was taken over is as the template says, as far as AWS can compare: CodeBuildLogGroup" in ran.stderr


@pytest.mark.usefixtures("ready")
def test_without_the_option_the_failure_names_it(here):
    ran = here(*CI, "--yes")

    assert ran.code == 1
    assert "take it over with --import-existing" in ran.stdout + ran.stderr


@pytest.mark.usefixtures("ready")
def test_a_program_takes_over_what_is_there(here, live, tmp_path):
    live.client("logs").create_log_group(logGroupName="/ecs/shop-services/web")
    file = tmp_path / "program.py"
    file.write_text(
        "from exasol_ci_setup import Container, Cluster, Scope, Service\n\n\n"
        "def hangar_run():\n"
        "    web = Service(name='web', container=Container(source='public.ecr.aws/nginx/nginx', tag='1.27'))\n"
        "    Cluster(scope=Scope(region='eu-central-1', name='shop'), name='services', services=(web,)).deploy()\n",
        encoding="utf-8",
    )

    failed = here("up", str(file), "--yes", "--no-lint")
    print(failed.stderr, failed.stdout)
    ran = here("up", str(file), "--yes", "--no-lint", "--import-existing", "--recreate-failed")

    assert failed.code == 1
    assert ran.code == 0, ran.stderr
    assert "to import" in ran.stderr
