"""Command group `space` with the sandbox."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from tests.pseudo_terminal import QUESTION, answered

pytestmark = pytest.mark.live

POLICY = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
IMAGE = "public.ecr.aws/nginx/nginx:1.27"


@pytest.fixture
def create(here):
    def run(*arguments: str, name: str = "web"):
        return here("space", "create", "--name", name, "--image", IMAGE, *arguments)

    return run


def test_create_needs_no_confirmation(create):
    ran = create("--domain", "example.com", "--cpu", "0.2", "--memory", "1Gi")

    assert ran.code == 0
    lines = dict(line.split("  ", 1) for line in ran.stdout.splitlines())
    shown = {name: value.strip() for name, value in lines.items()}
    assert shown["url"] == "http://web.example.com/"
    assert shown["size"] == "0.25 vCPU, 1024 MiB"
    assert shown["image"] == IMAGE
    assert "the next size of Fargate is 0.25 vCPU and 1024 MiB" in ran.stderr
    assert "Plan for stack space-web (new)" in ran.stderr
    assert "CREATE_COMPLETE" in ran.stderr
    assert "point web.example.com to the load balancer: create a CNAME record with" in ran.stderr


def test_json_has_records_of_plans_events_and_space(create):
    ran = create("--output", "json", "--env", "A=b")

    kinds = [record["type"] for record in ran.records]
    assert kinds.count("plan") == 2
    assert "event" in kinds
    (space,) = [record for record in ran.records if record["type"] == "space"]
    assert (space["name"], space["cpu"], space["memory"], space["port"]) == ("web", 0.25, 512, 80)
    assert ran.records[-1] == {
        "type": "result",
        "schema": "exasol-ci-setup/2",
        "status": "created",
        "changed": True,
        "name": "web",
    }


def test_second_creation_fails(create):
    create()
    ran = create("--output", "json")

    assert ran.code == 1
    assert "error: space 'web' already exists" in ran.stderr
    assert ran.records[-1]["code"] == "space-conflict"


@pytest.mark.parametrize("verb", [("get",), ("update", "--image", "nginx"), ("delete", "--yes")])
def test_missing_space_fails(here, verb):
    ran = here("space", verb[0], "--space-name", "nobodys", *verb[1:], "--output", "json")

    assert ran.code == 1
    assert ran.records[-1]["code"] == "space-not-found"
    assert "hint:" in ran.stderr


def test_create_with_plan_prints_plan_only(create, here):
    ran = create("--plan")

    assert ran.code == 0
    assert "Plan for stack spaces-load-balancer (new)" in ran.stdout
    assert "Plan for stack space-web (new)" in ran.stdout
    assert "nothing was changed" in ran.stderr
    assert here("list").stdout == ""


def test_variables_as_pairs_and_json(create, here):
    assert create("--env", "A=b=c", "--env", '{"N": 1, "T": "x", "F": true}').code == 0

    (space, _) = here("space", "get", "--name", "web", "--output", "json").records
    assert space["env"] == {"A": "b=c", "N": "1", "T": "x", "F": "true"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--env", "A"], "not a variable"),
        (["--env", "=b"], "not a variable"),
        (["--env", "{"], "not valid JSON"),
        (["--env", '{"A": {}}'], "the value of 'A' is neither text nor a number"),
        (["--env", "A=1", "--env", '{"A": 2}'], "--env sets A twice"),
        (["--env", '{"A": "1", "A": "2"}'], "A is set twice"),
        (["--env", '{"A": "a\\u0000b"}'], "control characters"),
        (["--secret", "A"], "not a secret"),
        (["--cpu", "much"], "invalid amount of CPU: 'much'"),
        (["--memory", "much"], "invalid amount of memory: 'much'"),
        (["--cpu", "64"], "exceed the largest size"),
        (["--port", "0"], "1 to 65535"),
        (["--domain", "Example"], "name of a domain"),
        (["--hosted-zone-id", "Z1"], "needs a --domain"),
        (["--certificate-arn", "mine", "--domain", "example.com"], "ARN of a certificate"),
    ],
)
def test_invalid_space_options_exit_2_with_one_line(create, here, arguments, message):
    ran = create(*arguments)

    assert ran.code == 2
    assert message in ran.stderr
    assert not ran.stdout
    assert here("list").stdout == ""


def test_invalid_secret_value_is_not_printed(create):
    assert "hunter2" not in create("--secret", "hunter2").stderr


def test_update_changes_given_options(create, here):
    create("--env", "A=b")

    ran = here("space", "update", "--name", "web", "--memory", "2Gi", "--output", "json")

    (space,) = [record for record in ran.records if record["type"] == "space"]
    assert (space["memory"], space["image"]) == (2048, IMAGE)
    assert ran.records[-1]["status"] == "updated"


def test_update_merges_variables_and_unsets_one(create, here):
    create("--env", "A=b", "--env", "C=d")

    ran = here("space", "update", "--name", "web", "--env", "E=f", "--unset", "A", "--output", "json")
    refused = here("space", "update", "--name", "web", "--unset", "A")
    shown = here("space", "get", "--name", "web", "--output", "json").records[0]

    assert (ran.code, refused.code) == (0, 2)
    assert shown["env"] == {"C": "d", "E": "f"}


def test_update_without_change_says_up_to_date(create, here):
    create()

    ran = here("space", "update", "--name", "web", "--image", IMAGE, "--output", "json")

    assert ran.code == 0
    assert "space web is up to date" in ran.stderr
    assert (ran.records[-1]["status"], ran.records[-1]["changed"]) == ("unchanged", False)


def test_update_without_options_exits_2(here):
    ran = here("space", "update", "--name", "web")

    assert ran.code == 2
    assert "nothing to change: no option is set" in ran.stderr


def test_update_with_plan_changes_nothing(create, here):
    create()

    ran = here("space", "update", "--name", "web", "--memory", "2Gi", "--plan")

    assert "TaskDefinition" in ran.stdout
    assert "512 MiB" in here("space", "get", "--name", "web").stdout


def test_list_sorts_spaces_by_name(create, here):
    create("--domain", "example.com")
    create(name="api")

    lines = here("space", "list").stdout.splitlines()

    assert lines[0].split() == ["NAME", "STATUS", "ADDRESS", "IMAGE"]
    assert [line.split()[0] for line in lines[1:]] == ["api", "web"]
    assert re.fullmatch(r"http://spaces-.*:8[0-9]{3}/", lines[1].split()[2])
    assert lines[2].split()[2] == "http://web.example.com/"


def test_empty_list_is_reported_on_stderr(here):
    ran = here("space", "list")

    assert (ran.code, ran.stdout) == (0, "")
    assert "no spaces in eu-central-1" in ran.stderr


def test_delete_without_terminal_needs_yes(create, here):
    create()

    ran = here("space", "delete", "--name", "web")

    assert ran.code == 2
    assert "add --yes" in ran.stderr
    assert here("space", "get", "--name", "web").code == 0


def test_delete_reports_kept_load_balancer(create, here):
    create()
    create(name="api")

    assert "kept the load balancer for 1 more space\n" in here("space", "delete", "--name", "web", "--yes").stderr
    last = here("space", "delete", "--name", "api", "--yes")
    assert "to delete it: `exasol-ci-setup delete spaces-load-balancer`" in last.stderr
    assert here("delete", "spaces-load-balancer", "--yes").code == 0


@pytest.mark.parametrize(
    ("answer", "remaining"), [("y", []), ("n", ["spaces-load-balancer"]), ("", ["spaces-load-balancer"])]
)
def test_last_delete_offers_to_delete_load_balancer(create, begin, live, answer, remaining):
    create()

    with begin("space", "delete", "--name", "web") as terminal:
        terminal.answer("y")
        terminal.wait_for("This is the last space")
        terminal.wait_for(QUESTION, after=terminal.written.index("This is the last space"))
        assert stacks(live) == ["space-web", "spaces-load-balancer"]
        terminal.type(f"{answer}\r")
        assert terminal.end() == 0

    said = " ".join(terminal.text.split())
    assert "Delete space web and its logs?" in said
    assert (
        "This is the last space: the load balancer then serves no space, and continues to cost money by the hour"
        in said
    )
    assert ("to delete it: `exasol-ci-setup delete spaces-load-balancer`" in said) == bool(remaining)
    assert stacks(live) == remaining


def test_delete_with_yes_in_terminal_keeps_load_balancer(create, begin, live):
    create()

    with begin("space", "delete", "--name", "web", "--yes") as terminal:
        assert terminal.end() == 0

    assert "[y/N]" not in terminal.text
    assert stacks(live) == ["spaces-load-balancer"]


def test_rejected_delete_asks_no_second_question(create, begin, live):
    create()

    with begin("space", "delete", "--name", "web") as terminal:
        terminal.answer("n")
        assert terminal.end() == 1

    assert "last space" not in terminal.text
    assert stacks(live) == ["space-web", "spaces-load-balancer"]


def test_option_deletes_load_balancer_with_last_space(create, here, live):
    create()
    create(name="api")

    ran = here("space", "delete", "--name", "web", "--with-load-balancer", "--yes")
    assert "kept the load balancer for 1 more space\n" in ran.stderr
    assert stacks(live) == ["space-api", "spaces-load-balancer"]

    refused = here("space", "delete", "--name", "api", "--with-load-balancer")
    assert refused.code == 2
    assert stacks(live) == ["space-api", "spaces-load-balancer"]

    assert here("space", "delete", "--name", "api", "--with-load-balancer", "--yes").code == 0
    assert stacks(live) == []


def test_plan_of_last_delete_names_load_balancer(create, here, live):
    create()

    plan = here("space", "delete", "--name", "web", "--plan")
    assert "the load balancer then serves no space" in plan.stderr
    assert "--with-load-balancer deletes it too" in plan.stderr
    assert "Plan for stack spaces-load-balancer" not in plan.stdout

    both = here("space", "delete", "--name", "web", "--plan", "--with-load-balancer")
    assert "Plan for stack space-web (delete)" in both.stdout
    assert "Plan for stack spaces-load-balancer (delete)" in both.stdout
    assert stacks(live) == ["space-web", "spaces-load-balancer"]


def test_list_in_terminal_is_table(create, begin):
    create("--domain", "example.com")

    code, said = answered(begin("space", "list"))

    assert code == 0
    assert [line.split() for line in re.sub(r"\x1b\[[0-9;]*m", "", said).splitlines()] == [
        ["NAME", "STATUS", "ADDRESS", "IMAGE"],
        ["web", "CREATE_COMPLETE", "http://web.example.com/", IMAGE],
    ]
    assert "http://web.example.com/" in said


CREATE = ("space", "create", "--name", "web", "--image", IMAGE)


def stacks(live) -> list[str]:
    described = live.client("cloudformation").describe_stacks()["Stacks"]
    return sorted(each["StackName"] for each in described if each["StackStatus"] != "REVIEW_IN_PROGRESS")


def test_first_load_balancer_needs_confirmation(live, begin):
    code, said = answered(begin(*CREATE), "n\r")

    assert code == 1
    assert "costs money by the hour. Deploy stack" in said
    assert said.count("[y/N]") == 1
    assert stacks(live) == []

    code, said = answered(begin(*CREATE), "y\r")

    assert code == 0
    assert said.count("[y/N]") == 1
    assert stacks(live) == ["space-web", "spaces-load-balancer"]


def test_yes_creates_first_load_balancer(live, begin):
    code, said = answered(begin(*CREATE, "--yes"))

    assert code == 0
    assert "[y/N]" not in said
    assert stacks(live) == ["space-web", "spaces-load-balancer"]


def test_secret_of_update_needs_no_confirmation(create, live, begin):
    live.client("secretsmanager").create_secret(Name="naas/key", SecretString="s")
    create()

    code, said = answered(begin("space", "update", "--name", "web", "--secret", "KEY=key", "--memory", "1Gi"))

    assert code == 0, said
    assert "Access that is granted:" in said
    assert "secretsmanager:GetSecretValue" in said
    assert "Access that is broadened:" not in said
    assert "[y/N]" not in said


def test_plan_of_deletion_deletes_nothing(create, here, live):
    create()

    ran = here("space", "delete", "--name", "web", "--plan")

    assert ran.code == 0
    assert "Plan for stack space-web (delete)" in ran.stdout
    assert stacks(live) == ["space-web", "spaces-load-balancer"]


def test_log_lines_are_printed(create, here, live):
    create()
    empty = here("space", "logs", "--name", "web")
    group = here("space", "get", "--name", "web", "--output", "json").records[0]["log_group"]
    write_log(live, group, "one", [(-7200, "old"), (-60, "hello\tthere")])
    write_log(live, group, "two", [(-90, "before")])

    assert (empty.code, empty.stdout, empty.stderr) == (0, "", "space web has no log lines yet\n")
    assert here("space", "logs", "--name", "web").stdout == "old\nbefore\nhello\tthere\n"
    assert here("space", "logs", "--name", "web", "--lines", "1").stdout == "hello\tthere\n"
    recent = here("space", "logs", "--name", "web", "--since", "1h", "--output", "json").records
    assert [(each["type"], each.get("message")) for each in recent] == [
        ("log", "before"),
        ("log", "hello\tthere"),
        ("result", None),
    ]
    assert here("space", "logs", "--name", "web", "--lines", "0").code == 2


def test_followed_log_has_new_lines_until_interrupted(create, here, live, begin):
    create()
    group = here("space", "get", "--name", "web", "--output", "json").records[0]["log_group"]
    write_log(live, group, "one", [(-60, "first line")])

    with begin("space", "logs", "--name", "web", "--follow") as terminal:
        terminal.wait_for("first line")
        write_log(live, group, "two", [(0, "second line"), (0, "second line"), (0, "last line")])
        terminal.wait_for("last line")
        terminal.interrupt()

        assert terminal.end() == 130
        assert terminal.text.count("first line") == 1
        assert terminal.text.count("second line") == 2


def write_log(live, group: str, stream: str, lines: list[tuple[int, str]]) -> None:
    """Write lines to a stream; each has its age in seconds."""
    logs = live.client("logs")
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    now = time.time()
    events = [{"timestamp": int((now + age) * 1000), "message": text} for age, text in lines]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def test_published_spellings_are_accepted(here):
    assert here("space", "create", "-n", "web", "--image", IMAGE, "-d", "example.com").code == 0
    assert here("space", "update", "-n", "web", "-m", "1Gi", "-c", "0.5").code == 0
    got = here("space", "get", "-n", "web", "-rp")
    listed = here("space", "list", "--rich-preview", "--page-size", "10", "--page-number", "1")

    assert "http://web.example.com/" in got.stdout
    assert listed.stderr.splitlines() == [
        "--rich-preview has no effect: lists are complete, and a terminal gets tables"
    ]
    assert here("space", "delete", "-n", "web", "--yes").code == 0


def test_number_in_json_keeps_its_text(create, here):
    create("--env", '{"V": 1.10, "E": 1e3, "B": true}')

    assert here("space", "get", "-n", "web", "--output", "json").records[0]["env"] == {
        "V": "1.10",
        "E": "1e3",
        "B": "true",
    }


def test_releases_rollback_and_restart(create, here):
    create("--env", "A=hush", "--count", "2")
    assert here("space", "update", "--name", "web", "--image", "nginx:2", "--unset", "A").code == 0

    listed = here("space", "releases", "--name", "web")
    records = here("space", "releases", "--name", "web", "--output", "json").records
    plan = here("space", "rollback", "--name", "web", "--plan")
    rolled = here("space", "rollback", "--name", "web", "--output", "json")
    restarted = here("space", "restart", "--name", "web")

    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["RELEASE", "2", "1"]
    assert "hush" not in listed.stdout
    assert [(each["number"], each["image"], each["changes"]) for each in records[:2]] == [
        (2, "nginx:2", ["image", "A"]),
        (1, IMAGE, []),
    ]
    assert (plan.code, plan.stderr.splitlines()[-1]) == (0, "plan only: nothing was changed")
    assert (rolled.code, rolled.records[-1]["status"]) == (0, "rolled-back")
    assert (restarted.code, "running        2 of 2 tasks" in restarted.stdout) == (0, True)
    missing = here("space", "rollback", "--name", "web", "--to", "9", "--output", "json")
    assert (missing.code, missing.records[-1]["code"]) == (1, "release-not-found")


def test_scale_variables_and_open(create, here):
    create("--domain", "example.com", "--extra-host", "example.com", "--env", "OLD=1", "--policy-arn", POLICY)

    scaled = here("space", "scale", "--name", "web", "2", "--output", "json")
    here("space", "env", "set", "--name", "web", "A=1", '{"B": "2"}')
    here("space", "env", "unset", "--name", "web", "OLD", "A")
    listed = here("space", "env", "list", "--name", "web", "--output", "json")
    opened = here("space", "open", "--name", "web", "--print")
    unchanged = here("space", "update", "--name", "web", "--policy-arn", POLICY, "--extra-host", "example.com")
    removed = here("space", "update", "--name", "web", "--policy-arn", "", "--extra-host", "", "--output", "json")

    assert (scaled.code, scaled.records[-1]["status"]) == (0, "updated")
    assert [(each["name"], each["value"]) for each in listed.records[:-1]] == [("B", "2")]
    assert (opened.code, opened.stdout) == (0, "http://web.example.com/\n")
    assert "space web is up to date" in unchanged.stderr
    assert (removed.code, removed.records[-1]["status"]) == (0, "updated")
    assert here("space", "env", "unset", "--name", "web", "A").code == 2


def test_host_of_another_space_is_refused(create, here, live):
    create("--domain", "example.com", "--extra-host", "www.example.com")

    taken = create("--domain", "example.com", "--extra-host", "web.example.com", name="other")
    own = create("--domain", "example.com", name="third")
    moved = here("space", "update", "--name", "third", "--extra-host", "www.example.com")
    again = here("space", "update", "--name", "web", "--extra-host", "www.example.com", "--extra-host", "example.com")

    assert (taken.code, moved.code) == (1, 1)
    assert "host www.example.com is that of space 'web'" in moved.stderr
    assert "host web.example.com is that of space 'web'" in taken.stderr
    assert (own.code, again.code) == (0, 0)
    names = {stack["StackName"] for stack in live.client("cloudformation").describe_stacks()["Stacks"]}
    assert names == {"spaces-load-balancer", "space-web", "space-third"}


def rules_of(live) -> dict[str, dict[str, Any]]:
    """Return the action of each rule of all listeners by its first host."""
    elb = live.client("elbv2")
    [balancer] = elb.describe_load_balancers()["LoadBalancers"]
    listeners = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    rules = [each for one in listeners for each in elb.describe_rules(ListenerArn=one["ListenerArn"])["Rules"]]
    return {
        each["Conditions"][0]["HostHeaderConfig"]["Values"][0]: each["Actions"][0]
        for each in rules
        if each["Priority"] != "default"
    }


def test_host_redirects_to_host_of_space(create, here, live):
    ran = create("--domain", "example.com", "--redirect-host", "example.com", "--redirect-host", "www.example.com")

    assert ran.code == 0
    assert "point example.com to the load balancer" in ran.stderr
    redirect = rules_of(live)["example.com"]
    assert redirect["Type"] == "redirect"
    assert (redirect["RedirectConfig"]["Host"], redirect["RedirectConfig"]["StatusCode"]) == (
        "web.example.com",
        "HTTP_301",
    )

    shown = here("space", "get", "--name", "web").stdout
    assert re.search(r"^redirects +example\.com, www\.example\.com$", shown, re.MULTILINE)

    taken = create("--domain", "example.com", "--extra-host", "www.example.com", name="other")
    assert taken.code == 1
    assert "host www.example.com is that of space 'web'" in taken.stderr

    updated = here("space", "update", "--name", "web", "--env", "A=1")
    assert updated.code == 0
    assert set(rules_of(live)) == {"web.example.com", "example.com"}
    for printed in (ran.stdout, updated.stdout):
        assert re.search(r"^redirects +example\.com, www\.example\.com$", printed, re.MULTILINE)
    assert here("space", "update", "--name", "web", "--redirect-host", "").code == 0
    assert set(rules_of(live)) == {"web.example.com"}
    assert here("space", "update", "--name", "web", "--redirect-host", "example.org").code == 0
    assert set(rules_of(live)) == {"web.example.com", "example.org"}


def test_new_variable_moves_no_other(create, here):
    assert create("--env", "MODE=live").code == 0

    added = here("space", "env", "set", "--name", "web", "APP=1")
    updated = here("space", "update", "--name", "web", "--memory", "1Gi")

    assert (added.code, updated.code) == (0, 0)
    assert re.search(r"^variables +APP, MODE$", updated.stdout, re.MULTILINE)
    assert "Memory" in updated.stderr
    assert "Environment" not in updated.stderr


def test_load_balancer_of_other_stack_is_kept_after_last_space(create, here, live):
    create("--domain", "example.com")
    cfn = live.client("cloudformation")
    [balancer] = cfn.describe_stacks(StackName="spaces-load-balancer")["Stacks"]
    [listener] = [each["OutputValue"] for each in balancer["Outputs"] if each["OutputKey"] == "HttpListenerArn"]
    cfn.create_stack(
        StackName="shop-services",
        TemplateBody="Parameters: {Listener: {Type: String}}\nResources: {Topic: {Type: 'AWS::SNS::Topic'}}",
        Parameters=[{"ParameterKey": "Listener", "ParameterValue": listener}],
    )
    cfn.get_waiter("stack_create_complete").wait(StackName="shop-services", WaiterConfig={"Delay": 1})

    ran = here("space", "delete", "--name", "web", "--with-load-balancer", "--yes")

    assert ran.code == 0
    assert "kept the load balancer for shop-services" in ran.stderr
    assert "costs money" not in ran.stderr
    assert here("delete", "spaces-load-balancer", "--yes").code == 1
