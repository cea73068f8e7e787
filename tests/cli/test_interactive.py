"""Every command that asks for confirmation, in a terminal: yes, no, and Ctrl-C."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import pytest

from exasol_ci_setup.cli.main import cli
from tests.cli.test_deploy_constructs import COMMANDS
from tests.pseudo_terminal import QUESTION
from tests.templates.samples import PUBLIC_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from exasol_ci_setup.aws.session import Account
    from tests.cli.conftest import Ran
    from tests.pseudo_terminal import PseudoTerminal

pytestmark = pytest.mark.live

INTERRUPTED = "error: interrupted; nothing was changed"
CREDENTIALS = ("--secret-name", "github", "--secret-user-key", "user", "--secret-token-key", "token")
SHOP = ("--project", "Shop", "--project-url", "https://github.com/acme/shop")
STORAGE = ("-w", "123", "-s", "files")
PROGRAM = """
from exasol_ci_setup import HangarScope, Registry

def hangar_run():
    scope = HangarScope(name="team", region="eu-central-1")
    for name in ("one", "two"):
        Registry(name=name, scope=scope).deploy()
"""
FLEET = """
targets:
  ci:
    region: eu-central-1
    source_credentials: {secret_name: github, secret_user_key: user, secret_token_key: token}
projects:
  Shop:
    project_url: https://github.com/acme/shop
    ci:
"""


@dataclass(frozen=True)
class Asks:
    """A command that asks. `before` is run first; `done` is what it prints after a yes, empty if another command has the same way there."""

    command: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    done: str = ""
    declined: int = 1


DEPLOYED = {
    "source-credentials": CREDENTIALS,
    "ci-build": SHOP,
    "release-build": SHOP,
    **COMMANDS,
}
IMPORTED = ("deploy-asset", "--name", "source", "--no-lint")
ASKS = {
    **{f"deploy-{kind}": Asks((f"deploy-{kind}", *options, "--no-lint")) for kind, options in DEPLOYED.items()},
    "deploy-registry": Asks(("deploy-registry", "--name", "images", "--no-lint"), done="stack images is deployed"),
    "deploy-ci-build": Asks(
        ("deploy-ci-build", *SHOP, "--no-lint"),
        before=(("deploy-source-credentials", *CREDENTIALS, "--yes", "--no-lint"),),
    ),
    "deploy-template": Asks(("deploy-template", "own.yaml", "--no-lint")),
    "deploy-fleet": Asks(("deploy-fleet", "fleet.yaml", "--no-lint"), done="2 stacks: 2 done"),
    "delete-fleet": Asks(
        ("delete-fleet", "fleet.yaml"),
        before=(("deploy-fleet", "fleet.yaml", "--yes", "--no-lint"),),
        done="2 of 2 stacks ended: 2 done",
    ),
    "up": Asks(("up", "program.py", "--no-lint"), done="team-two.RepositoryUri"),
    "up --prune": Asks(
        ("up", "smaller.py", "--prune", "--no-lint"),
        before=(("up", "program.py", "--yes", "--no-lint"),),
        done="team-two",
    ),
    "down": Asks(("down", "program.py"), before=(("up", "program.py", "--yes", "--no-lint"),), done="team-two"),
    "delete": Asks(
        ("delete", "images"),
        before=(("deploy-registry", "--name", "images", "--yes", "--no-lint"),),
        done="deleted stack images",
    ),
    "drift": Asks(("drift", "office", "--revert"), done="office"),
    "import asset": Asks(("import", "asset", "--name", "source", "--resource", "Bucket=kept"), done="source"),
    "storage delete": Asks(("storage", "delete", *STORAGE), before=(("storage", "create", *STORAGE),), done="deleted "),
    "storage delete-object": Asks(
        ("storage", "delete-object", *STORAGE, "-o", "data/"),
        before=(
            ("storage", "create", *STORAGE),
            ("storage", "put-object", *STORAGE, "-src", "program.py", "-dst", "data/"),
        ),
        done="deleted",
    ),
    "storage sync": Asks(
        ("storage", "sync", *STORAGE, "--folder", "site", "--prefix", "data/", "--delete"),
        before=(
            ("storage", "create", *STORAGE),
            ("storage", "put-object", *STORAGE, "-src", "program.py", "-dst", "data/"),
        ),
        done="deleted",
    ),
    "asset delete": Asks(
        ("asset", "delete", "-w", "123", "-id", "ID"),
        before=(
            ("storage", "create", *STORAGE),
            ("storage", "put-object", *STORAGE, "-src", "program.py", "-dst", "data/"),
            ("asset", "create", "-w", "123", "--data", "asset.json"),
        ),
        done="deleted ",
    ),
    "registry delete": Asks(
        ("registry", "delete", "--name", "team"), before=(("registry", "create", "--name", "team"),), done="deleted "
    ),
    "secret delete": Asks(
        ("secret", "delete", "--name", "key"),
        before=(("secret", "create", "--name", "key", "--file", "program.py"),),
        done="deleted ",
    ),
    "space delete": Asks(
        ("space", "delete", "--name", "web"),
        before=(("space", "create", "--name", "web", "--image", "nginx"),),
        done="deleted space web",
    ),
    "space create": Asks(("space", "create", "--name", "web", "--image", "nginx"), done="web"),
    "hosted delete": Asks(("hosted", "delete", "app1", "--url", "127.0.0.1", "--key-file", "hosted.key")),
    "sandbox reset": Asks(("sandbox", "reset"), declined=0),
}
# They ask only about what is more than they say, in the one place that `space create` asks in.
AS_SPACE_CREATE = frozenset(
    {
        *("asset create", "asset update", "registry create", "storage create"),
        *("space add", "space env set", "space env unset", "space rollback", "space scale", "space update"),
    }
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the commands read."""
    (tmp_path / "key.pub").write_text(PUBLIC_KEY, encoding="utf-8")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "page.html").write_text("<p>", encoding="utf-8")
    (tmp_path / "hosted.key").write_text("sesame", encoding="utf-8")
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "smaller.py").write_text(PROGRAM.replace('("one", "two")', '("one",)'), encoding="utf-8")
    (tmp_path / "asset.json").write_text(
        '{"storage_name": "files", "object_name": "data/program.py"}', encoding="utf-8"
    )
    (tmp_path / "fleet.yaml").write_text(FLEET, encoding="utf-8")
    (tmp_path / "own.yaml").write_text("Resources: {Topic: {Type: AWS::SNS::Topic}}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def left(account: Account) -> list[str]:
    """Return what an interrupted plan must not leave: empty stacks and change sets."""
    cfn = account.client("cloudformation")
    found = [stack for page in cfn.get_paginator("describe_stacks").paginate() for stack in page["Stacks"]]
    empty = [stack["StackName"] for stack in found if stack["StackStatus"] == "REVIEW_IN_PROGRESS"]
    sets = [
        each["ChangeSetName"]
        for stack in found
        for each in cfn.list_change_sets(StackName=stack["StackName"])["Summaries"]
    ]
    return empty + sets


def state(account: Account) -> dict[str, str]:
    cfn = account.client("cloudformation")
    return {
        stack["StackName"]: stack["StackStatus"]
        for page in cfn.get_paginator("describe_stacks").paginate()
        for stack in page["Stacks"]
    }


def prepared(name: str, here: Callable[..., Ran], live: Account) -> tuple[str, ...]:
    """Run what comes before a command, and return the command with the id that was printed there."""
    found = ""
    for command in ASKS[name].before:
        ran = here(*command)
        assert ran.code == 0, ran.stderr
        found = dict(line.split(maxsplit=1) for line in ran.stdout.splitlines() if " " in line).get("id", "")
    if name == "drift":
        options = COMMANDS["security-group"]
        assert here("deploy-security-group", *options, "--yes", "--no-lint").code == 0
        (group,) = live.client("ec2").describe_security_groups(
            Filters=[{"Name": "tag:aws:cloudformation:stack-name", "Values": ["office"]}]
        )["SecurityGroups"]
        live.client("ec2").revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=group["IpPermissions"])
    if name == "import asset":
        live.client("s3").create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return tuple(found if word == "ID" else word for word in ASKS[name].command)


@pytest.mark.parametrize("name", ASKS)
def test_command_that_asks_ends_in_terminal(
    name: str, begin: Callable[..., PseudoTerminal], here: Callable[..., Ran], live: Account
):
    command = prepared(name, here, live)
    asks = ASKS[name]
    before = state(live)

    with begin(*command) as terminal:
        terminal.wait_for(QUESTION)
        terminal.interrupt()
        assert terminal.end() == 130
    is_local = name in {"hosted delete", "sandbox reset"}
    assert terminal.text.splitlines()[-1] == ("error: interrupted" if is_local else INTERRUPTED)
    assert terminal.text.count("error:") == 1
    assert terminal.is_cursor_visible
    assert (state(live), left(live)) == (before, [])

    with begin(*command) as terminal:
        terminal.answer("n")
        assert terminal.end() == asks.declined
    assert terminal.is_cursor_visible
    assert (state(live), left(live)) == (before, [])

    if asks.done:
        with begin(*command) as terminal:
            terminal.answer("y")
            seen = len(terminal.written)
            terminal.resize(20, 50)
            if name == "space delete":
                # The second question breaks at the width of the terminal when it is printed.
                terminal.wait_for(QUESTION, after=seen)
                terminal.type("y\r")
            assert terminal.end() == 0
        assert asks.done in terminal.text
        assert terminal.is_cursor_visible
        assert left(live) == []


def test_table_of_stacks_precedes_question(begin: Callable[..., PseudoTerminal]):
    with begin("deploy-fleet", "fleet.yaml", "--no-lint") as terminal:
        terminal.wait_for(QUESTION)
        shown = terminal.text
        terminal.answer("n")
    assert re.search(r"STACK +PLAN +CHANGES\s+\S+ +new +\d+ to add, \d+ setting", shown)


def test_ctrl_c_at_hidden_prompt_restores_echo(begin: Callable[..., PseudoTerminal]):
    with begin("secret", "create", "--name", "key") as terminal:
        terminal.wait_for("Value: ")
        terminal.interrupt()
        assert terminal.end() == 130
        assert terminal.echoes
    assert terminal.text.splitlines()[-1] == INTERRUPTED


def test_hidden_value_is_stored_and_not_shown(begin: Callable[..., PseudoTerminal], here: Callable[..., Ran]):
    with begin("secret", "create", "--name", "key") as terminal:
        for prompt in ("Value: ", "Repeat for confirmation: "):
            terminal.wait_for(prompt)
            terminal.type("hush\r")
        assert terminal.end() == 0
    assert "hush" not in terminal.text
    assert here("secret", "get", "--name", "key").stdout == "hush"


def commands(command: click.Command, *path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, *path, name)
    else:
        yield " ".join(path), command


def test_each_command_that_asks_is_tested_here():
    asking = {name for name, command in commands(cli) if any("--yes" in option.opts for option in command.params)}

    # All kinds of `import` have one implementation.
    assert {name for name in asking if not name.startswith("import ")} <= {*ASKS, *AS_SPACE_CREATE}
