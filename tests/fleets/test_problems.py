"""The mistakes in a fleet file with templates: one error has all of them, with lines, names and suggestions."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.fleets import load
from exasol_ci_setup.template.limits import LARGEST_TEMPLATE

QUEUE = """
Parameters:
  Retention: {Type: Number, MinValue: 60, MaxValue: 1000, Default: 60}
  Kind: {Type: String, AllowedValues: [a, b], Default: a}
  Name: {Type: String, AllowedPattern: "[a-z]+"}
Resources:
  Queue: {Type: AWS::SQS::Queue}
Outputs:
  Url: {Value: !Ref Queue}
"""
TOPIC = """
Resources:
  Topic:
    Type: AWS::SNS::Topic
    Properties:
      DisplayName: {{ titel }}
      TopicName: {{ nmae }}
"""
CODE = "Resources: {F: {Type: AWS::Lambda::Function, Properties: {Code: ./source}}}\n"
TARGETS = "targets: {main: {region: eu-central-1}, west: {region: eu-west-1}}\ndefaults: {target: main}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = {"queue.yaml": QUEUE, "topic.yaml.j2": TOPIC, "code.yaml": CODE, "broken.yaml": "Resources:\n  A: [\n"}
    for name, text in files.items():
        Path(name).write_text(text.lstrip(), encoding="utf-8")


def problems_of(text: str) -> list[str]:
    Path("f.yaml").write_text(TARGETS + dedent(text).lstrip(), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load(Path("f.yaml"), templates=())
    assert "parameters=" not in f"{caught.value.message}{caught.value.hint}"
    assert "--var" not in caught.value.hint
    return list(caught.value.problems)


def test_mistakes_of_all_kinds_are_one_error():
    Path("large.yaml").write_text(f"Resources: {{}} # {'x' * LARGEST_TEMPLATE}", encoding="utf-8")

    found = problems_of("""
        stacks:
          values: {template: queue.yaml, parameters: {Retention: 5, Kind: c, Name: ABC}}
          names: {template: queue.yaml, parameters: {Nmae: a}}
          topic: {template: topic.yaml.j2, vars: {title: x, name: y}, needs: [value]}
          broken: {template: broken.yaml, needs: [code]}
          code: {template: code.yaml, needs: [broken]}
          large: {template: large.yaml}
          missing: {template: quue.yaml}
          elsewhere: {template: code.yaml, target: mian}
          double: {template: queue.yaml, stack_name: values, parameters: {Name: a}}
          key: {templat: queue.yaml, protect: maybe}
          output: {template: queue.yaml, parameters: {Name: !StackOutput values.Uri}}
          target: {template: queue.yaml, parameters: {Name: !StackOutput wset/values.Url}}
          reference: {template: queue.yaml, parameters: {Name: !StackOutput values}}
          variable: {template: topic.yaml.j2, vars: {titel: !StackOutput values.Url, nmae: x}}
          self: {template: queue.yaml, needs: [self], parameters: {Name: a}}
          tags: {template: !Sub queue.yaml, vars: {a: [!Ref b]}, parameters: {Name: !GetAtt [a, b]}, protect: !If x}
    """)

    assert found == [
        "f.yaml:4: stacks.values.parameters.Retention '5': use at least 60",
        "f.yaml:4: stacks.values.parameters.Kind 'c': use one of a, b",
        "f.yaml:4: stacks.values.parameters.Name 'ABC': it does not match the pattern [a-z]+",
        "f.yaml:5: stacks.names.parameters.Nmae: unknown parameter; did you mean Name?",
        "f.yaml:5: stacks.names: parameter Name has no value: String",
        "f.yaml:6: stacks.topic.needs[0]: stack 'value' does not exist; did you mean values?",
        "f.yaml:6: stacks.topic.template: topic.yaml.j2:5: 'titel' is undefined; did you mean title?",
        "f.yaml:6: stacks.topic.template: topic.yaml.j2:6: 'nmae' is undefined; did you mean name?",
        "f.yaml:7: stacks.broken: a cycle: broken → code → broken; remove one of these references or needs",
        "f.yaml:7: stacks.broken.template: broken.yaml:3 cannot be read: did not find expected node content",
        "f.yaml:8: stacks.code.template: code.yaml: F.Code: source does not exist; also stacks.elsewhere",
        f"f.yaml:9: stacks.large.template: large.yaml is too large: more than {LARGEST_TEMPLATE:,} bytes",
        "f.yaml:10: stacks.missing.template: the file quue.yaml does not exist; did you mean queue.yaml?",
        "f.yaml:11: stacks.elsewhere.target: target 'mian' does not exist; did you mean main?",
        "f.yaml:12: stacks.double: its stack has the name values, like that of stacks.values; choose another stack_name for one of them",
        "f.yaml:13: stacks.key.template: it is required",
        "f.yaml:13: stacks.key.protect 'maybe': use true or false",
        "f.yaml:13: stacks.key.templat: unknown key; did you mean template?",
        "f.yaml:14: stacks.output.parameters.Name: the template of stack values has no output Uri; did you mean Url?",
        "f.yaml:15: stacks.target.parameters.Name: target 'wset' does not exist; did you mean west?",
        "f.yaml:16: stacks.reference.parameters.Name: !StackOutput values: write STACK.OUTPUT or TARGET/STACK.OUTPUT",
        "f.yaml:17: stacks.variable.vars.titel: !StackOutput is for parameters: a template is rendered before its outputs are known",
        "f.yaml:18: stacks.self: a cycle: self → self; remove one of these references or needs",
        *(
            f"f.yaml:19: stacks.tags.{place}: {tag}: unknown tag; the only one in this file is !StackOutput"
            for place, tag in {
                "template": "!Sub queue.yaml",
                "vars.a": "!Ref b",
                "parameters.Name": "!GetAtt",
                "protect": "!If x",
            }.items()
        ),
    ]


def test_valid_part_of_invalid_entry_is_checked():
    found = problems_of("""
        projects:
          Slc: {project_url: https://github.com/a/b, ci: {imgae: x}, needs: [Udf], targt: main}
          Udf: {project_url: 3, ci: }
        stacks:
          a: {template: queue.yaml, tags: [x], parameters: {Nmae: a}}
          b: {template: quue.yaml, needs: [Slc]}
    """)

    assert [each.partition(": ")[2] for each in found] == [
        "projects.Slc.ci.imgae: unknown key; did you mean image?",
        "projects.Slc.targt: unknown key; did you mean target?",
        "projects.Udf.project_url 3: use text, in quotation marks if it looks like a number",
        "stacks.a.tags: use names with values below it",
        "stacks.a.parameters.Nmae: unknown parameter; did you mean Name?",
        "stacks.a: parameter Name has no value: String",
        "stacks.b.needs[0]: stack 'Slc' does not exist",
        "stacks.b.template: the file quue.yaml does not exist; did you mean queue.yaml?",
    ]


def test_all_duplicate_keys_are_reported():
    Path("f.yaml").write_text("targets: {}\ntargets: {}\nname: a\nname: b\n", encoding="utf-8")

    with pytest.raises(InputError) as caught:
        load(Path("f.yaml"))

    assert list(caught.value.problems) == [
        "f.yaml:2 is invalid: duplicate key 'targets'",
        "f.yaml:4 is invalid: duplicate key 'name'",
    ]


def test_templates_of_other_stacks_are_not_read():
    Path("f.yaml").write_text(
        f"{TARGETS}stacks: {{a: {{template: nosuch.yaml}}, b: {{template: queue.yaml, parameters: {{Name: x}}}}}}\n",
        encoding="utf-8",
    )

    assert list(load(Path("f.yaml"), templates=["b"]).members) == ["main/a", "main/b"]
    assert list(load(Path("f.yaml")).members) == ["main/a", "main/b"]
    with pytest.raises(InputError, match=r"stacks.a.template: the file nosuch.yaml does not exist"):
        load(Path("f.yaml"), templates=["a"])


def test_name_of_entry_refers_to_its_stack():
    Path("f.yaml").write_text(
        TARGETS
        + "stacks:\n"
        + "  queue: {template: queue.yaml, stack_name: shop-queue, parameters: {Name: x}}\n"
        + "  user: {template: queue.yaml, parameters: {Name: !StackOutput queue.Url}}\n",
        encoding="utf-8",
    )

    fleet = load(Path("f.yaml"), templates=())

    assert {node.name: node.needs for node in fleet.nodes} == {
        "main/shop-queue": (),
        "main/user": ("main/shop-queue",),
    }


@pytest.mark.parametrize("name", ["n" * 5000 + ".yaml", "~nobody/x", "nosuch/queue.yaml"])
def test_name_that_is_no_file_is_rejected(name):
    (found,) = problems_of(f'stacks: {{a: {{template: "{name}"}}}}\n')

    assert found.startswith("f.yaml:3: stacks.a.template: the file ")


def test_output_that_transform_may_add_is_accepted():
    body = Path("queue.yaml").read_text(encoding="utf-8")
    Path("queue.yaml").write_text(f"Transform: AWS::LanguageExtensions\n{body}", encoding="utf-8")
    text = "stacks:\n  a: {template: queue.yaml, parameters: {Name: x}}\n  b: {template: queue.yaml, parameters: {Name: !StackOutput a.Other}}\n"
    Path("f.yaml").write_text(TARGETS + text, encoding="utf-8")

    assert list(load(Path("f.yaml"), templates=()).members) == ["main/a", "main/b"]
