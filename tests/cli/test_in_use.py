"""Deletion of resources in use: every command refuses it and names the users."""

from __future__ import annotations

import pytest

from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.platform import registry, secret, space

pytestmark = pytest.mark.live

URL = "https://github.com/exasol/script-languages-release"
PROGRAM = """
    from exasol_ci_setup import Registry, Scope

    def hangar_run():
        scope = Scope(name="team", region="eu-central-1")
        {line}
        Registry(scope=scope, name="other").deploy()
"""


@pytest.fixture
def run(here):
    """Run the program, and fail unless it ends well."""

    def succeeding(*arguments):
        ran = here(*arguments)
        assert ran.code == 0, ran.stderr
        return ran

    return succeeding


def stacks(live):
    return sorted(stack["StackName"] for stack in live.client("cloudformation").describe_stacks()["Stacks"])


def log_groups(live):
    return [group["logGroupName"] for group in live.client("logs").describe_log_groups()["logGroups"]]


def test_load_balancer_with_spaces_is_refused(here, run, live):
    space.create("web", image="nginx:1", context=Context(live))
    space.create("api", image="nginx:1", domain="example.com", context=Context(live))
    before = stacks(live)

    for more in (["--yes"], ["--plan"], ["--yes", "--empty"]):
        ran = here("delete", "spaces-load-balancer", *more)

        assert ran.code == 1
        assert "error: stack spaces-load-balancer is in use: " in ran.stderr
        assert {"space-web", "space-api"} <= set(ran.stderr.replace(",", "").split())

    assert stacks(live) == before
    run("space", "delete", "--name", "web", "--yes")
    run("space", "delete", "--name", "api", "--yes")
    run("delete", "spaces-load-balancer", "--yes")
    assert stacks(live) == []


def test_source_credentials_with_builds_are_refused(here, run, live):
    run(
        "deploy-source-credentials",
        *("--secret-name", "github", "--secret-user-key", "user", "--secret-token-key", "token", "--yes", "--no-lint"),
    )
    run("deploy-ci-build", "--project", "Slc", "--project-url", URL, "--yes", "--no-lint")
    run("deploy-release-build", "--project", "Slc", "--project-url", URL, "--yes", "--no-lint")

    ran = here("delete", "SLCSourceCredentials", "--yes")

    assert ran.code == 1
    assert "stack SLCSourceCredentials is in use: " in ran.stderr
    assert {"Slc", "SlcRelease"} <= set(ran.stderr.replace(",", " ").split())
    assert "SLCSourceCredentials" in stacks(live)
    run("delete", "Slc", "--yes")
    run("delete", "SlcRelease", "--yes")
    run("delete", "SLCSourceCredentials", "--yes")


def test_secret_that_space_reads_is_refused(here, run, live):
    for name in ("k", "k-2"):
        secret.create(name, "v", context=Context(live))
    space.create("web", image="nginx:1", secrets={"K": "k-2"}, context=Context(live))

    ran = here("secret", "delete", "--name", "k-2", "--yes")

    assert (ran.code, ran.stdout) == (1, "")
    assert "secret 'k-2' is in use: space-web" in ran.stderr
    assert "`exasol-ci-setup space update --name NAME --unset VARIABLE`" in ran.stderr
    assert run("secret", "get", "--name", "k-2").stdout.strip() == "v"
    run("secret", "delete", "--name", "k", "--yes")
    run("space", "delete", "--name", "web", "--yes")
    run("secret", "delete", "--name", "k-2", "--yes")


@pytest.mark.parametrize("by_stack", [False, True])
def test_registry_of_running_image_is_refused(here, run, live, by_stack):
    registry.create("web", context=Context(live))
    uri = registry.create("web-2", context=Context(live)).uri
    space.create("shop", image=f"{uri}:1", context=Context(live))
    delete = (
        ("delete", "registry-web-2", "--yes", "--empty")
        if by_stack
        else ("registry", "delete", "--name", "web-2", "--yes", "--empty")
    )

    ran = here(*delete)

    assert ran.code == 1
    assert "stack registry-web-2 is in use: space-shop" in ran.stderr
    assert "registry-web-2" in stacks(live)
    run("registry", "delete", "--name", "web", "--yes")
    space.update("shop", image="nginx:1", context=Context(live))
    run(*delete)


def test_hint_names_command_that_works(here, run, live):
    space.create("web", image="nginx:1", context=Context(live))
    hint = here("delete", "spaces-load-balancer", "--yes").stderr.split("`")[1]

    run(*hint.split()[1:], "--yes")

    # The logs too, which CloudFormation leaves.
    assert stacks(live) == ["spaces-load-balancer"]
    assert log_groups(live) == []


def test_plan_of_space_shows_that_its_logs_go(run, live):
    space.create("web", image="nginx:1", context=Context(live))

    plan = run("delete", "space-web", "--plan")

    assert "- LogGroup" in plan.stdout
    assert log_groups(live) != []


@pytest.mark.parametrize("command", [["down"], ["up", "--prune", "--allow-data-loss"]])
def test_stack_of_program_that_space_uses_is_refused(here, run, live, write, command):
    program = PROGRAM.format(line='Registry(scope=scope, name="images").deploy()')
    run("up", write(program), "--yes", "--no-lint")
    outputs = run("outputs", "team-images", "--output", "json").records[0]["outputs"]
    space.create("shop", image=f"{outputs['RepositoryUri']}:1", context=Context(live))

    ran = here(*command, write(program if command == ["down"] else PROGRAM.format(line="")), "--yes")

    assert ran.code == 1
    assert "stack team-images is in use: space-shop" in ran.stderr
    assert {"team-images", "team-other"} <= set(stacks(live))
