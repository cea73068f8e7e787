"""Programs with templates of the user: `Stack`, and constructs of the user's own."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent
from typing import Any, ClassVar

import pytest

from exasol_ci_setup import Context, Outcome, ScopedConstruct, Stack

pytestmark = pytest.mark.live

QUEUE = """\
# The jobs of the workers
Parameters:
  Retention:
    Type: Number
    Default: 60
    MinValue: 60
    MaxValue: 1209600
  Owner:
    Type: String
    AllowedPattern: "[a-z]+"
Resources:
  Queue:
    Type: AWS::SQS::Queue
    DeletionPolicy: Delete
    UpdateReplacePolicy: Delete
    Properties:
      MessageRetentionPeriod: !Ref Retention
Outputs:
  QueueUrl:
    Value: !Ref Queue
  QueueArn:
    Value: !GetAtt Queue.Arn
"""
ALARM = """\
Resources:
  Topic:
    Type: AWS::SNS::Topic
    Properties:
      DisplayName: {{ construct.title ~ ": " ~ construct.queue.QueueUrl }}
Outputs:
  TopicArn:
    Value: !Ref Topic
"""
NETWORK = """\
Resources:
  Vpc:
    Type: AWS::EC2::VPC
    Properties: {CidrBlock: 10.0.0.0/16}
  Subnet:
    Type: AWS::EC2::Subnet
    Properties: {VpcId: !Ref Vpc, CidrBlock: 10.0.0.0/24}
Outputs:
  VpcId: {Value: !Ref Vpc}
  SubnetId: {Value: !Ref Subnet}
"""
START = """\
from pathlib import Path
from exasol_ci_setup import Cluster, Container, PolicyStatement, Registry, Scope, ScopedConstruct, SecurityGroup, Service, Stack

class Alarm(ScopedConstruct):
    '''A topic about a queue.'''

    template = "alarm.yaml.j2"

    title: str
    queue: Stack

    @property
    def topic_arn(self) -> str:
        return self.output("TopicArn")

def hangar_run():
    scope = Scope(name="own", region="eu-central-1")
"""
GIVEN = 'parameters={"Owner": "me"}'
PROGRAM = f"""\
queue = Stack(scope=scope, name="queue", template=Path("queue.yaml"), {GIVEN})
alarm = Alarm(scope=scope, name="alarm", title='a "quote"', queue=queue)
worker = Service(name="worker", container=Container(source="nginx", tag="1.27"),
    env_vars={{"QUEUE_URL": queue.QueueUrl, "TOPIC": alarm.topic_arn}})
Cluster(scope=scope, name="workers", services=[worker]).deploy()
print(queue.output("QueueUrl"), alarm.topic_arn)
"""


@pytest.fixture
def using(write, tmp_path):
    (tmp_path / "queue.yaml").write_text(QUEUE, encoding="utf-8")
    (tmp_path / "alarm.yaml.j2").write_text(ALARM, encoding="utf-8")

    def program(text: str) -> Any:
        return write(START + indent(dedent(text), "    "))

    return program


def test_program_with_own_templates_deploys_them(here, live, using):
    program = using(PROGRAM)

    first = here("up", program, "--yes", "--no-lint")
    second = here("up", program, "--yes", "--no-lint")

    assert first.code == 0, first.stderr
    url, topic = first.stdout.splitlines()[-1].split()
    attributes = live.session.client("sns", endpoint_url=live.endpoint_url).get_topic_attributes(TopicArn=topic)
    assert attributes["Attributes"]["DisplayName"] == f'a "quote": {url}'
    assert "3 stacks up to date" in second.stderr
    cfn = live.client("cloudformation")
    body = cfn.get_template(StackName="own-queue")["TemplateBody"]
    assert body == QUEUE
    assert url not in cfn.get_template(StackName="own-alarm")["TemplateBody"]
    [stack] = cfn.describe_stacks(StackName="own-alarm")["Stacks"]
    assert {each["Key"]: each["Value"] for each in stack["Tags"]}["exasol-ci-setup:construct"] == "Alarm"
    assert here("down", program, "--yes").code == 0
    assert cfn.describe_stacks()["Stacks"] == []


def test_change_and_drift_of_own_template_are_planned(here, live, using, tmp_path):
    program = using(f'queue = Stack(scope=scope, name="queue", template="queue.yaml", {GIVEN})\nqueue.deploy()')
    assert here("up", program, "--yes", "--no-lint").code == 0
    url = here("outputs", "own-queue", "--output", "json").records[0]["outputs"]["QueueUrl"]
    sqs = live.session.client("sqs", endpoint_url=live.endpoint_url)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "99"})
    text = QUEUE.replace("Default: 60", "Default: 90").replace(
        "    Properties:\n", "    Properties:\n      VisibilityTimeout: 30\n"
    )
    (tmp_path / "queue.yaml").write_text(text, encoding="utf-8")

    planned = here("plan", program, "--no-lint")
    done = here("up", program, "--yes", "--no-lint")

    assert "~ Queue" in planned.stdout
    assert "→ 90" in planned.stdout
    assert "own-queue: done" in done.stderr
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (found["VisibilityTimeout"], found["MessageRetentionPeriod"]) == ("30", "90")


def test_broader_access_of_own_template_needs_option(here, using):
    program = using("""\
        rule = {"CidrIp": "0.0.0.0/0", "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
        group = {"GroupDescription": "x", "SecurityGroupIngress": [rule]}
        template = {"Resources": {"Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": group}}}
        Stack(scope=scope, name="group", template=template).deploy()
        """)

    refused = here("up", program, "--yes", "--no-lint")
    accepted = here("up", program, "--yes", "--no-lint", "--allow-broadening")

    assert refused.code == 1
    assert "--allow-broadening" in refused.stderr
    assert accepted.code == 0, accepted.stderr


def test_mapping_body_and_jinja_file_take_outputs(here, live, using, tmp_path):
    (tmp_path / "topic.yaml.j2").write_text(
        "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n    Properties:\n      DisplayName: {{ text }}\n",
        encoding="utf-8",
    )
    program = using(f"""\
        queue = Stack(scope=scope, name="queue", template="queue.yaml", {GIVEN})
        url = f"${{{{X}}}} {{queue.QueueUrl}}"
        topic = {{"Type": "AWS::SNS::Topic", "Properties": {{"DisplayName": url}}}}
        Stack(scope=scope, name="mapping", template={{"Resources": {{"Topic": topic}}}}).deploy()
        Stack(scope=scope, name="jinja", template="topic.yaml.j2", variables={{"text": url}}).deploy()
        body = "Parameters: {{Text: {{Type: String}}}}\\nResources:\\n  Topic:\\n    Type: AWS::SNS::Topic\\n    Properties: {{DisplayName: !Ref Text}}\\n"
        Stack(scope=scope, name="body", body=body, parameters={{"Text": url}}).deploy()
        """)

    ran = here("up", program, "--yes", "--no-lint")

    assert ran.code == 0, ran.stderr
    sns = live.session.client("sns", endpoint_url=live.endpoint_url)
    names = [
        sns.get_topic_attributes(TopicArn=each["TopicArn"])["Attributes"]["DisplayName"]
        for each in sns.list_topics()["Topics"]
    ]
    [url] = [
        each["OutputValue"]
        for each in live.client("cloudformation").describe_stacks(StackName="own-queue")["Stacks"][0]["Outputs"]
        if each["OutputKey"] == "QueueUrl"
    ]
    assert names == [f"${{X}} {url}"] * 3


def test_local_artifact_is_uploaded_once(here, using, tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "index.py").write_text("def handler(event, context): pass\n", encoding="utf-8")
    (tmp_path / "function.yaml").write_text(
        "Parameters:\n  Role: {Type: String}\nResources:\n  Function:\n    Type: AWS::Lambda::Function\n    Properties:\n"
        "      Code: ./src\n      Handler: index.handler\n      Runtime: python3.12\n      Role: !Ref Role\n",
        encoding="utf-8",
    )
    program = using("""\
        role = "arn:aws:iam::123456789012:role/function"
        Stack(scope=scope, name="function", template="function.yaml", parameters={"Role": role}).deploy()
        """)

    first = here("up", program, "--yes", "--no-lint")
    second = here("up", program, "--yes", "--no-lint")

    assert first.code == 0, first.stderr
    assert "uploaded s3://" in first.stderr
    assert "uploaded" not in second.stderr
    assert "1 stack up to date" in second.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'Stack(scope=scope, name="q", template="queue.yaml").deploy()',
            "program.py:18: Stack 'own-q': parameter Owner has no value",
        ),
        (
            'Stack(scope=scope, name="q", template="queue.yaml", parameters={"Owner": "me", "Retentoin": 1}).deploy()',
            "did you mean Retention?",
        ),
        (
            'Stack(scope=scope, name="q", template="queue.yaml", parameters={"Owner": "ME", "Retention": 1}).deploy()',
            "it does not match the pattern [a-z]+",
        ),
        ('Stack(scope=scope, name="q", template="none.yaml").deploy()', "none.yaml cannot be read: the file does not"),
        ('Stack(scope=scope, name="q", body="Resources: [").deploy()', "the template of Stack 'own-q':"),
        ('Stack(scope=scope, name="q", template={"Resources": {"A": {1, 2}}}).deploy()', "is not plain data"),
        ('Stack(scope=scope, name="q").deploy()', "set either template, the path of a file or a mapping, or body"),
        (
            'Stack(scope=scope, name="q", template="alarm.yaml.j2", variables={"constrct": 1}).deploy()',
            "alarm.yaml.j2:5: 'construct' is undefined",
        ),
        (f'print(Stack(scope=scope, name="q", template="queue.yaml", {GIVEN}).QueuUrl)', "did you mean QueueUrl?"),
        (
            (
                f'q = Stack(scope=scope, name="q", template="queue.yaml", {GIVEN}).QueueUrl\n'
                'Stack(scope=scope, name="r", template="queue.yaml", parameters={"Owner": q, "X": ""}).deploy()'
            ),
            "X",
        ),
        (
            (
                "function = {'Type': 'AWS::Lambda::Function', 'Properties': {'Code': './gone'}}\n"
                "Stack(scope=scope, name='q', template={'Resources': {'F': function}}).deploy()"
            ),
            "gone does not exist",
        ),
        (
            f'Alarm(scope=scope, name="a", title=1, queue=Stack(scope=scope, name="q", template="queue.yaml", {GIVEN}))',
            "Alarm is invalid: title: ",
        ),
    ],
    ids=range(12),
)
def test_invalid_own_template_exits_2_before_deployment(here, live, using, text, said):
    ran = here("up", using(text), "--yes", "--no-lint")

    assert ran.code == 2
    assert said in ran.stderr
    assert live.client("cloudformation").describe_stacks()["Stacks"] == []


@pytest.mark.parametrize(
    ("template", "use"),
    [
        ("{% if construct.queue.QueueUrl == 'x' %}{% endif %}", "a comparison"),
        ("{% if construct.title == 'x' %}{% endif %}", "a comparison"),
        ("{{ construct.title | length }}", "the length of a text"),
        ("{{ construct.queue.QueueUrl | upper }}", "a change of a text"),
        ("{% if construct.is_long %}{% endif %}", "the length of a text"),
    ],
)
def test_decision_by_output_in_own_construct_exits_2(here, live, using, tmp_path, template, use):
    program = using(f"""\
        queue = Stack(scope=scope, name="queue", template="queue.yaml", {GIVEN})
        class Note(Alarm):
            template = "note.yaml.j2"
            template_folder = Path({str(tmp_path)!r})
            @property
            def is_long(self):
                return len(self.title) > 10
        Note(scope=scope, name="note", title=f"of {{queue.QueueUrl}}", queue=queue).deploy()
        """)
    (tmp_path / "note.yaml.j2").write_text(f"# a note\n# {template}\n{ALARM}", encoding="utf-8")

    ran = here("up", program, "--yes", "--no-lint")

    assert ran.code == 2
    assert "program.py:25: " in ran.stderr
    assert f"note.yaml.j2:2: {use} needs the value of the output QueueUrl of Stack 'queue'" in ran.stderr
    assert live.client("cloudformation").describe_stacks()["Stacks"] == []


def test_variable_with_output_is_not_compared(here, using, tmp_path):
    (tmp_path / "note.yaml.j2").write_text("{% if 'x' in url %}{% endif %}" + ALARM, encoding="utf-8")
    program = using(f"""\
        queue = Stack(scope=scope, name="queue", template="queue.yaml", {GIVEN})
        Stack(scope=scope, name="note", template="note.yaml.j2", variables={{"url": f"{{queue.QueueUrl}}/x"}}).deploy()
        """)

    ran = here("plan", program, "--no-lint")

    assert ran.code == 2
    assert "note.yaml.j2:1: a search needs the value of the output QueueUrl of Stack 'queue'" in ran.stderr


def test_output_that_breaks_rule_of_parameter_exits_2(here, live, using):
    program = using(f"""\
        q = Stack(scope=scope, name="q", template="queue.yaml", {GIVEN})
        Stack(scope=scope, name="r", template="queue.yaml", parameters={{"Owner": q.QueueUrl}}).deploy()
        """)

    ran = here("up", program, "--yes", "--no-lint")

    assert ran.code == 2
    assert "Stack 'own-r': parameter Owner" in ran.stderr
    assert [each["StackName"] for each in live.client("cloudformation").describe_stacks()["Stacks"]] == ["own-q"]


def test_worker_may_use_queue_of_own_template(here, live, using):
    program = using(f"""\
        scope = Scope(name="own", region="eu-central-1", tags={{"team": "web"}})
        queue = Stack(scope=scope, name="queue", template="queue.yaml", {GIVEN}, tags={{"url": "1"}})
        may = PolicyStatement(actions=["sqs:ReceiveMessage", "sqs:DeleteMessage"], resources=[queue.QueueArn])
        worker = Service(name="worker", container=Container(source="nginx", tag="1.27"),
            env_vars={{"QUEUE_URL": queue.QueueUrl}}, task_role_policy=[may])
        Cluster(scope=scope, name="workers", services=[worker], tags={{"queue": queue.QueueUrl}}).deploy()
        print(queue.QueueArn)
        """)

    planned = here("plan", program, "--no-lint")
    first = here("up", program, "--yes", "--no-lint")
    second = here("up", program, "--yes", "--no-lint")

    assert "may sqs:DeleteMessage, sqs:ReceiveMessage on <output QueueArn: known after deployment of" in planned.stdout
    assert first.code == 0, first.stderr
    cfn = live.client("cloudformation")
    role = cfn.describe_stack_resource(StackName="own-workers", LogicalResourceId="WorkerTaskRole")
    iam = live.session.client("iam", endpoint_url=live.endpoint_url)
    document = iam.get_role_policy(RoleName=role["StackResourceDetail"]["PhysicalResourceId"], PolicyName="task")
    arn = first.stdout.splitlines()[-1]
    assert document["PolicyDocument"]["Statement"][0]["Resource"] in (arn, [arn])
    tags = {each["Key"]: each["Value"] for each in cfn.describe_stacks(StackName="own-workers")["Stacks"][0]["Tags"]}
    assert tags["team"] == "web"
    assert tags["queue"].endswith(arn.rpartition(":")[2])
    assert "2 stacks up to date" in second.stderr


def test_network_and_output_of_other_account_are_used(here, live, using, tmp_path):
    (tmp_path / "net.yaml").write_text(NETWORK, encoding="utf-8")
    program = using("""\
        role = "arn:aws:iam::210987654321:role/deployer"
        far = Scope(name="far", region="us-east-1", role_assumptions=[role])
        images = Registry(scope=far, name="images")
        net = Stack(scope=scope, name="net", template="net.yaml")
        inside = Scope(name="own", region="eu-central-1", vpc_id=net.VpcId)
        worker = Service(name="worker", container=Container(source="nginx", tag="1"), env_vars={"IMAGES": images.arn})
        Cluster(scope=scope, name="workers", services=[worker], vpc_id=net.VpcId, subnet_ids=[net.SubnetId]).deploy()
        SecurityGroup(scope=inside, name="group").deploy()
        print(net.VpcId, net.SubnetId)
        """)

    planned = here("plan", program, "--no-lint")
    first = here("up", program, "--yes", "--no-lint")
    second = here("up", program, "--yes", "--no-lint")

    assert planned.code == 0, planned.stderr
    assert first.code == 0, first.stderr
    vpc, subnet = first.stdout.splitlines()[-1].split()
    [stack] = live.client("cloudformation").describe_stacks(StackName="own-workers")["Stacks"]
    values = {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}
    assert (values["VpcId"], values["SubnetIds"]) == (vpc, subnet)
    assert values["FarImagesRepositoryArn"] == "arn:aws:ecr:us-east-1:210987654321:repository/far/images"
    assert "4 stacks up to date" in second.stderr


def test_library_deploys_own_template_and_construct(live, tmp_path):
    class Label(ScopedConstruct):
        template: ClassVar[str] = "label.yaml.j2"
        template_folder: ClassVar[Path | None] = tmp_path

        queue: Stack

    (tmp_path / "label.yaml.j2").write_text(
        "Resources:\n  T:\n    Type: AWS::SNS::Topic\n    Properties:\n      DisplayName: {{ construct.queue.QueueUrl }}\n",
        encoding="utf-8",
    )
    (tmp_path / "queue.yaml").write_text(QUEUE, encoding="utf-8")
    context = Context(account=live)
    queue = Stack(name="queue", template=tmp_path / "queue.yaml", parameters={"Owner": "me"})
    label = Label(name="label", queue=queue)

    assert [each for each in queue.lint() if each.level == "error"] == []
    assert label.deploy(context).outcome is Outcome.DEPLOYED
    assert queue.QueueUrl.endswith("/queue") or "queue" in queue.QueueUrl
    assert queue.diff(context) == ""
    with label.plan(context) as planned:
        assert not planned.plan
    [stack] = live.client("cloudformation").describe_stacks(StackName="label")["Stacks"]
    assert stack["Parameters"] == [{"ParameterKey": "QueueQueueUrl", "ParameterValue": queue.QueueUrl}]


TYPO = """
Stack(scope=scope, name="queue", template="queue.yaml", parameters={"Owner": "me"}).deploy()
for name in ("b", "c"):
    body = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayNmae": name}}}}
    Stack(scope=scope, name=name, template=body).deploy()
"""


def test_lint_error_in_any_template_stops_up_before_deployment(here, live, using):
    ran = here("up", using(TYPO), "--yes")

    assert ran.code == 3
    assert "the template of Stack 'own-b'" in ran.stderr
    assert "the template of Stack 'own-c'" in ran.stderr
    assert "'DisplayNmae' was unexpected" in ran.stderr
    assert live.client("cloudformation").describe_stacks()["Stacks"] == []


def test_lint_error_of_unchanged_stack_does_not_stop_up(here, using):
    program = using(TYPO)
    assert here("up", program, "--yes", "--no-lint").code == 0

    ran = here("up", program, "--yes")

    assert ran.code == 0, ran.stderr
    assert "3 stacks up to date" in ran.stderr


def test_template_with_local_files_is_linted_as_deployed(here, using, tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "index.py").write_text("handler = print\n", encoding="utf-8")
    body = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Code": "./src",
            "Handler": "index.handler",
            "Runtime": "python3.13",
            "Role": "arn:aws:iam::123456789012:role/f",
        },
    }
    program = using(f"Stack(scope=scope, name='f', template={{'Resources': {{'F': {body!r}}}}}).deploy()")

    ran = here("up", program, "--yes")

    assert ran.code == 0, ran.stderr
