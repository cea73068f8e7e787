"""The commands for a template of the user's own, as a user runs them."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.live

QUEUE = """\
Parameters:
  Env: {Type: String, AllowedValues: [dev, prod], Description: The environment}
  Retention: {Type: Number, Default: 60, MinValue: 60, MaxValue: 1209600}
  Prefix: {Type: String, Default: a, AllowedPattern: "[a-z]+"}
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      MessageRetentionPeriod: !Ref Retention
      Tags: [{Key: env, Value: !Sub "${Prefix}-${Env}"}]
Outputs:
  QueueUrl: {Value: !Ref Queue}
"""
FUNCTION = """\
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}]
  Function:
    Type: AWS::Lambda::Function
    Properties: {Code: ./src, Handler: main.run, Runtime: python3.12, Role: !GetAtt Role.Arn}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(**files: str):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")

    return write


def parameters(live, name):
    stack = live.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    return {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}


def objects(live):
    s3 = live.client("s3")
    names = [each["Name"] for each in s3.list_buckets()["Buckets"]]
    return [each["Key"] for name in names for each in s3.list_objects_v2(Bucket=name).get("Contents", ())]


def test_update_keeps_values_of_parameters(here, live, folder):
    folder(queue_yaml=QUEUE, prod_json=json.dumps({"Parameters": {"Env": "prod"}, "Tags": {"team": "web"}}))
    assert here("deploy-template", "queue.yaml", "--parameters-file", "prod.json", "--yes").code == 0

    ran = here("deploy-template", "queue.yaml", "--parameter", "Retention=120", "--plan", "--tag", "team=web")

    assert ran.code == 0
    assert 'Retention: "60" → "120"' in ran.stdout
    assert "parameters that keep their deployed values: Env, Prefix" in ran.stdout
    assert "team" not in ran.stdout
    assert parameters(live, "queue") == {"Env": "prod", "Retention": "60", "Prefix": "a"}


def test_second_deploy_of_template_reports_no_changes(here, folder):
    folder(queue_yaml=QUEUE)
    assert here("deploy-template", "queue.yaml", "--parameter", "Env=dev", "--yes").code == 0

    ran = here("deploy-template", "queue.yaml", "--yes", "--no-lint")

    assert ran.code == 0
    assert ran.stdout.startswith("QueueUrl  http")
    assert "stack queue is up to date" in ran.stderr


def test_artifact_is_uploaded_once_and_not_for_plan(here, live, folder):
    folder(app_yaml=FUNCTION, src__main_py="def run(event, context): return 1\n")

    assert here("deploy-template", "app.yaml", "--plan").code == 0
    assert objects(live) == []

    first = here("deploy-template", "app.yaml", "--yes")
    (key,) = objects(live)
    assert f"/{key}" in first.stderr
    assert "CAPABILITY_IAM for Role" in first.stderr

    second = here("deploy-template", "app.yaml", "--yes")
    assert second.code == 0
    assert "stack app is up to date" in second.stderr
    assert "uploaded" not in second.stderr


def test_nested_template_is_uploaded_for_plan(here, live, folder):
    outer = "Resources: {Inner: {Type: 'AWS::CloudFormation::Stack', Properties: {TemplateURL: inner.yaml}}}"
    folder(outer_yaml=outer, inner_yaml="Resources: {Topic: {Type: 'AWS::SNS::Topic'}}")

    ran = here("deploy-template", "outer.yaml", "--plan")

    assert ran.code == 0
    assert len(objects(live)) == 1
    assert "CAPABILITY_AUTO_EXPAND for nested stack Inner" in ran.stdout


def test_output_of_stack_is_value_of_parameter(here, live, folder):
    folder(queue_yaml=QUEUE, app_yaml=QUEUE.replace("AllowedValues: [dev, prod], ", ""))
    assert here("deploy-template", "queue.yaml", "--stack-name", "net", "--parameter", "Env=dev", "--yes").code == 0

    ran = here("deploy-template", "app.yaml", "--parameter", "Env=@net.QueueUrl", "--yes")

    assert ran.code == 0
    assert parameters(live, "app")["Env"].endswith("Queue-" + parameters(live, "app")["Env"].rpartition("Queue-")[2])
    unknown = here("deploy-template", "app.yaml", "--parameter", "Env=@net.QueueArn", "--yes")
    assert unknown.code == 2
    assert "stack net has no output QueueArn; did you mean QueueUrl?" in unknown.stderr


def test_jinja_file_is_rendered_with_variables(here, folder):
    folder(
        app_yaml_j2="{% include 'part.yaml' %}\n  Topic: {Type: AWS::SNS::Topic, Properties: {DisplayName: {{ env }}}}\n",
        part_yaml="Resources:\n",
        vars_yaml="env: [1]\n",
    )

    ran = here("validate-template", "app.yaml.j2", "--vars-file", "vars.yaml", "--var", "env=a: b", "--print-template")

    assert ran.code == 0
    assert 'DisplayName: "a: b"' in ran.stdout
    assert "the template of stack app is valid" in ran.stderr


def test_rendered_text_is_printed_although_it_cannot_be_parsed(program, folder):
    folder(app_yaml_j2="a: {{ name }}-suffix\n")

    ran = program("validate-template", "app.yaml.j2", "--offline", "--var", "name=x", "--print-template")

    assert ran.code == 2
    assert ran.stdout == 'a: "x"-suffix\n'
    assert "app.yaml cannot be read in line 1 of the rendered text" in ran.stderr


def test_template_from_standard_input_is_validated(program):
    body = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})

    ran = program("validate-template", "-", "--offline", stdin=body)

    assert ran.code == 0
    assert "is valid (not checked by AWS)" in ran.stderr
    ran = program("deploy-template", "-", "--plan", stdin=body)
    assert ran.code == 2
    assert "set it with `--stack-name NAME`" in ran.stderr


def test_stack_of_other_construct_is_refused(here, folder):
    folder(images_yaml="Resources: {Topic: {Type: 'AWS::SNS::Topic'}}")
    assert here("deploy-registry", "--name", "images", "--yes", "--no-lint").code == 0

    ran = here("deploy-template", "images.yaml", "--yes", "--adopt")

    assert ran.code == 1
    assert "stack images belongs to construct Registry, name images, not to construct Template" in ran.stderr


BAD = {
    "parameters": (
        {"t_yaml": QUEUE},
        ("--parameter", "Retension=5", "--parameter", "Retention=5", "--parameter", "Prefix=A"),
        [
            "parameter 'Retension' (--parameter) is unknown; did you mean Retention?",
            "parameter Retention '5' (--parameter) is not valid: use at least 60",
            "parameter Prefix 'A' (--parameter) is not valid: it does not match the pattern [a-z]+",
            "parameter Env has no value: String, The environment, one of dev, prod",
            "add --parameter Env=VALUE",
        ],
    ),
    "allowed value": (
        {"t_yaml": QUEUE},
        ("--parameter", "Env=test", "--parameter", "Retention=1209601"),
        ["parameter Env 'test' (--parameter) is not valid: use one of dev, prod", "use at most 1209600"],
    ),
    "unreadable file": ({"t_yaml": "Resources:\n  A: [\n"}, (), ["t.yaml:3 cannot be read"]),
    "missing file": ({}, (), ["t.yaml cannot be read: the file does not exist"]),
    "large file": ({"t_yaml": "#" * 1_048_577}, (), ["t.yaml is too large: more than 1,048,576 bytes"]),
    "parameter file": ({"t_yaml": QUEUE, "p_yaml": "a: 1\na: 2\n"}, ("--parameters-file", "p.yaml"), ["p.yaml:2"]),
    "tags of file": (
        {"t_yaml": QUEUE, "p_json": json.dumps({"Tags": {"aws:x": "1", "exasol-ci-setup:name": "2"}})},
        ("--parameters-file", "p.json"),
        ["'aws:x' is reserved", "'exasol-ci-setup:name' is reserved"],
    ),
    "stack policy of file": (
        {"t_yaml": QUEUE, "p_json": json.dumps({"StackPolicy": {"a": 1}})},
        ("--parameters-file", "p.json"),
        ["p.json is no stack policy"],
    ),
    "variable": ({"t_yaml": QUEUE}, ("--var", "a=1"), ["t.yaml takes no variables"]),
    "artifacts": (
        {"t_yaml": FUNCTION + "  Other: {Type: 'AWS::Lambda::LayerVersion', Properties: {Content: layer}}\n"},
        ("--parameter", "X=1"),
        [
            "Function.Code: src does not exist",
            "Other.Content: layer does not exist",
            "parameter 'X' (--parameter) is unknown; parameters of the template: it has none",
        ],
    ),
    "standard input twice": ({}, ("--parameters-file", "-", "--vars-file", "-"), ["can be read once only"]),
}


@pytest.mark.parametrize("name", BAD)
def test_invalid_template_input_exits_2(program, folder, name):
    files, options, messages = BAD[name]
    folder(**files)

    ran = program("validate-template", "t.yaml", "--offline", *options)
    if name == "parameters":
        ran = program("--sandbox", "deploy-template", "t.yaml", "--yes", *options, account=None)

    assert ran.code == 2
    for message in messages:
        assert message in ran.stderr


def test_template_of_maximum_size_is_read(program, folder):
    folder(t_yaml=QUEUE + "#" * (1_048_576 - len(QUEUE.encode())))

    ran = program("validate-template", "t.yaml", "--offline", "--parameter", "Env=dev")

    assert ran.code == 0, ran.stderr


def test_unknown_jinja_variable_is_reported_with_line(program, folder):
    folder(t_yaml_j2="Resources:\n  {{ nmae | logical_id }}: {Type: AWS::SNS::Topic}\n")

    ran = program("validate-template", "t.yaml.j2", "--offline", "--var", "name=A")

    assert ran.code == 2
    assert "t.yaml.j2:2: 'nmae' is undefined" in ran.stderr
    assert "did you mean name?" in ran.stderr


def test_missing_parameters_are_prompted_for_in_terminal(begin, folder, live):
    folder(
        queue_yaml=QUEUE.replace("Resources:", "  Secret: {Type: String, NoEcho: true, MinLength: 3}\nResources:", 1)
    )
    with begin("deploy-template", "queue.yaml", "--yes", "--no-lint") as terminal:
        terminal.wait_for("parameter Env (String): ")
        terminal.type("test\r")
        terminal.wait_for("not valid: use one of dev, prod")
        terminal.type("prod\r")
        terminal.wait_for("parameter Secret (String), hidden: ")
        terminal.type("s3cret\r")

        assert terminal.end() == 0
        assert "s3cret" not in terminal.text
    assert parameters(live, "queue") == {"Env": "prod", "Retention": "60", "Prefix": "a", "Secret": "****"}


def test_diff_of_template_with_artifacts_uploads_nothing(here, live, folder):
    folder(app_yaml=FUNCTION, src__main_py="def run(event, context): return 1\n")
    assert here("deploy-template", "app.yaml", "--yes", "--no-lint").code == 0
    same = here("diff", "template", "app.yaml", "--exit-code")
    assert (same.code, same.stdout) == (0, "")

    folder(src__main_py="def run(event, context): return 2\n")
    ran = here("diff", "template", "app.yaml", "--exit-code")

    assert ran.code == 5
    assert '+    Properties: {Code: {"S3Bucket": ' in ran.stdout
    assert len(objects(live)) == 1


def test_cost_of_template_names_unknown_parameters(here, folder):
    folder(queue_yaml=QUEUE)

    ran = here("cost", "template", "queue.yaml")

    assert ran.code == 0
    assert "AWS::SQS::Queue" in ran.stdout
    assert "no link to AWS's calculator: no value of Env" in ran.stderr
    assert here("cost", "template", "queue.yaml", "--parameter", "Env=x").code == 2


def test_resource_is_imported_into_stack_of_own_template(here, live, folder):
    folder(t_yaml="Resources: {Topic: {Type: 'AWS::SNS::Topic', Properties: {TopicName: orders}, Metadata: {own: 1}}}")
    arn = live.client("sns").create_topic(Name="orders")["TopicArn"]

    ran = here("import", "template", "t.yaml", "--resource", f"Topic={arn}", "--yes")

    assert ran.code == 0
    assert "`exasol-ci-setup deploy-template t.yaml` with the same options" in ran.stderr
    assert here("deploy-template", "t.yaml", "--yes").code == 0
    again = here("deploy-template", "t.yaml", "--yes")
    assert "stack t is up to date" in again.stderr


def test_graph_of_jinja_template_is_drawn(program, folder):
    folder(t_yaml_j2="Resources:\n  {{ name | logical_id }}: {Type: AWS::SNS::Topic}\n")

    ran = program("graph", "template", "t.yaml.j2", "--var", "name=Orders")

    assert ran.code == 0
    assert "Orders" in ran.stdout
    assert program("graph", "t.yaml.j2", "--var", "name=Orders").stdout == ran.stdout
    unknown = program("graph", "t.yaml.j2")
    assert (unknown.code, "t.yaml.j2:2: 'name' is undefined" in unknown.stderr) == (2, True)


def test_drift_of_unusual_template_is_reverted(here, live):
    body = "Resources: {Topic: {Type: 'AWS::SNS::Topic', Properties: {DisplayName: a, DisplayName: b}}}"
    tags = [{"Key": "exasol-ci-setup:construct", "Value": "Template"}]
    live.client("cloudformation").create_stack(StackName="odd", TemplateBody=body, Tags=tags)
    topic = live.client("cloudformation").describe_stack_resource(StackName="odd", LogicalResourceId="Topic")
    arn = topic["StackResourceDetail"]["PhysicalResourceId"]
    live.client("sns").set_topic_attributes(TopicArn=arn, AttributeName="DisplayName", AttributeValue="c")

    ran = here("drift", "odd", "--revert", "--yes")

    assert ran.code == 0
    assert live.client("sns").get_topic_attributes(TopicArn=arn)["Attributes"]["DisplayName"] == "b"


def test_graph_of_program_draws_its_own_templates(program, folder):
    folder(
        own_yaml="Resources: {Orders: {Type: 'AWS::SQS::Queue'}}",
        program_py="from exasol_ci_setup import HangarScope, Stack\n\n\ndef hangar_run():\n"
        '    scope = HangarScope(name="team", region="eu-central-1")\n'
        '    Stack(name="queue", scope=scope, template="own.yaml").deploy()\n',
    )

    ran = program("graph", "program.py")

    assert ran.code == 0
    assert "Orders" in ran.stdout
