"""Values of parameters: formats, rules, and all problems in one error, before AWS is called."""

from __future__ import annotations

import contextlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.template import parameter_files
from exasol_ci_setup.template.input_files import StackOutput
from exasol_ci_setup.template.parameters import (
    GivenParameter,
    choose,
    declarations,
    parse_parameter,
    resolve_outputs,
)

DECLARED = declarations(
    {
        "Parameters": {
            "Size": {"Type": "Number", "MinValue": 1, "MaxValue": 3, "Default": 2},
            "Env": {"Type": "String", "AllowedValues": ["dev", "prod"], "Description": "the environment"},
            "Name": {"Type": "String", "AllowedPattern": "[a-z]+", "MinLength": 2, "MaxLength": "4"},
            "Ports": {"Type": "List<Number>", "Default": "80,443"},
            "Password": {"Type": "String", "NoEcho": True, "MinLength": 8},
            "Image": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/a/b", "AllowedPattern": "x"},
        }
    }
)


def of_file(**values: object) -> dict[str, GivenParameter]:
    return {name: GivenParameter(value, "p.yaml") for name, value in values.items()}  # type: ignore[arg-type]


def test_values_defaults_and_deployed_values_are_chosen():
    choice = choose(DECLARED, of_file(Env="dev", Name="ab"), deployed={"Password": "****", "Size": "3", "Old": "x"})

    choice.require_valid()
    assert choice.values == {"Env": "dev", "Name": "ab"}
    assert choice.kept == ("Size", "Password")
    assert choice.defaults == ("Ports", "Image")


def test_all_problems_are_reported_together():
    given_values = of_file(Size="4", Nam="ab", Ports="80,x", Password="short", Image="")

    with pytest.raises(InputError) as caught:
        choose(DECLARED, given_values).require_valid()

    assert caught.value.message.splitlines() == [
        "the parameters have 7 problems:",
        "  parameter 'Nam' (p.yaml) is unknown; did you mean Name?",
        "  parameter Size '4' (p.yaml) is not valid: use at most 3",
        "  parameter Ports '80,x' (p.yaml) is not valid: use a number",
        "  parameter Password (p.yaml) is not valid: use at least 8 characters",
        "  parameter Image '' (p.yaml) is not valid: use the name of an SSM parameter",
        "  parameter Env has no value: String, the environment, one of dev, prod",
        "  parameter Name has no value: String",
    ]
    assert caught.value.hint == "add --parameter Env=VALUE --parameter Name=VALUE"


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("Size", "0", "use at least 1"),
        ("Size", "1.5", ""),
        ("Size", "NaN", "use a number"),
        ("Env", "Dev", "use one of dev, prod"),
        ("Name", "a", "use at least 2 characters"),
        ("Name", "abcde", "use at most 4 characters"),
        ("Name", "ab1", "it does not match the pattern [a-z]+"),
        ("Name", "ab\n", "it does not match the pattern [a-z]+"),
        ("Ports", "80, 81", ""),
        ("Image", "/any/name", ""),
        ("Name", "{{resolve:ssm:/a}}", ""),
        ("Name", "é" * 3000, "use at most 4,096 bytes"),
    ],
)
def test_rule_of_template_is_checked(name, value, rule):
    assert DECLARED[name].problem(value) == rule


def test_pattern_that_only_java_reads_is_left_to_aws():
    declared = declarations({"Parameters": {"A": {"Type": "String", "AllowedPattern": r"\p{Alpha}+"}}})

    assert declared["A"].problem("x") == ""


def test_deployed_value_that_breaks_new_rule_is_problem():
    choice = choose(DECLARED, of_file(Env="dev", Name="ab"), deployed={"Password": "****", "Size": "9"})

    assert [*map(str, choice.problems)] == ["parameter Size: the deployed value is no longer valid: use at most 3"]


def test_secret_on_command_line_is_refused_and_not_shown():
    name, found = parse_parameter("Password=correct horse")
    choice = choose(DECLARED, {name: found}, deployed={"Env": "dev", "Name": "ab"})

    with pytest.raises(InputError, match="must not appear on the command line") as caught:
        choice.require_valid()

    assert "horse" not in f"{caught.value} {caught.value.hint} {found} {choice}"


def test_dynamic_reference_to_secret_is_accepted_on_command_line():
    name, found = parse_parameter("Password={{resolve:secretsmanager:db:SecretString:password}}")

    assert choose(DECLARED, {name: found}, deployed={"Env": "dev", "Name": "ab"}).problems == ()


def test_missing_secret_gets_hint_without_command_line():
    with pytest.raises(InputError, match="Password has no value: String, NoEcho") as caught:
        choose(DECLARED, of_file(Env="dev", Name="ab")).require_valid()

    assert "--parameters-file" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=b=c", "b=c"),
        ("A=", ""),
        ("A=@net.VpcId", StackOutput("net", "VpcId")),
        ("A=@prod/net.VpcId", StackOutput("net", "VpcId", "prod")),
        ("A=@@net.VpcId", "@net.VpcId"),
    ],
)
def test_option_is_text_or_output(text, value):
    assert parse_parameter(text)[1].value == value


@pytest.mark.parametrize("text", ["A", "=b", "A-B=c", "A=@", "A=@net", "A=@net.", "A=@.VpcId", "A=@net.Vpc-Id"])
def test_invalid_option_is_refused(text):
    with pytest.raises(InputError, match="--parameter"):
        parse_parameter(text)


@given(st.text(), st.text())
def test_option_never_shows_value(name, value):
    # No name of a parameter contains a hyphen.
    with pytest.raises(InputError) as caught:
        parse_parameter(f"-{name}=@{value}")

    assert re.fullmatch(r"--parameter\b[ -~]*", f"{caught.value.message} {caught.value.hint}".replace("…", ""))


@given(st.dictionaries(st.text(), st.text()), st.text())
def test_no_parameter_name_or_value_raises_other_error(values, type_):
    declared = declarations({"Parameters": {"Env": {"Type": type_, "AllowedPattern": type_}}})

    choice = choose(declared, {name: GivenParameter(value, "p") for name, value in values.items()})

    assert set(choice.values) <= {"Env"}


def test_outputs_are_looked_up_once_and_checked():
    choice = choose(
        DECLARED, {**of_file(Env="dev", Name="ab", Password="12345678"), **of_file(Size=StackOutput("n", "S"))}
    )
    calls = []

    def look_up(outputs):
        calls.append(list(outputs))
        return {StackOutput("n", "S"): "7"}

    resolved = resolve_outputs(choice, DECLARED, look_up)

    assert calls == [[StackOutput("n", "S")]]
    assert list(resolved.values) == ["Size", "Env", "Name", "Password"]
    assert [*map(str, resolved.problems)] == ["parameter Size '7' (n.S) is not valid: use at most 3"]


VALUES = {"A": "1.10", "B": "yes", "C": "x,01"}
FILES = [
    "A: 1.10\nB: yes\nC: [x, 01]\nD: !StackOutput net.VpcId\n",
    '{"A": "1.10", "B": "yes", "C": ["x", "01"]}',
    json.dumps([{"ParameterKey": key, "ParameterValue": value} for key, value in VALUES.items()]),
    '["A=1.10", "B=yes", "C=x,01"]',
    '{\n\t"Parameters": {"A": 1.10, "B": "yes", "C": "x,01"},\n\t"Tags": {"t": "u"}, "StackPolicy": {"Statement": [true]}}',
    "Parameters: {A: 1.10, B: yes, C: [x, 01]}\nTags: {t: u}\nStackPolicy: {Statement: [true]}\n",
]


@pytest.mark.parametrize("text", FILES)
def test_every_format_has_same_values_as_written(text):
    found = parameter_files.parse("p", text)

    assert {name: item.value for name, item in found.parameters.items() if name != "D"} == VALUES
    if "Tags" in text:
        assert found.tags == {"t": "u"}
        assert json.loads(found.stack_policy) == {"Statement": [True]}


def test_output_in_yaml_file_is_output():
    assert parameter_files.parse("p", FILES[0]).parameters["D"].value == StackOutput("net", "VpcId")


def test_previous_value_keeps_deployed_one_or_is_problem():
    found = parameter_files.parse("p", '[{"ParameterKey": "Size", "UsePreviousValue": true}]').parameters

    assert "Size" in choose(DECLARED, found, deployed={"Size": "1"}).kept
    (problem,) = choose(DECLARED, found).problems
    assert str(problem) == "parameter Size (p): the stack has no previous value"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A: 1\nB: ]", "p:2 cannot be read"),
        ("A: 1\nA: 2", "p:2 cannot be read: duplicate key 'A'"),
        (
            "A:\nB: {c: d}\nC: ['x,y']",
            "p has invalid values:\n  A: it has no value.*\n  B: use text.*\n  C: a text in a list",
        ),
        ("A: !StackOutput net", "p:1 cannot be read: !StackOutput net: write !StackOutput STACK.OUTPUT"),
        ("A: !Ref B", "p:1 cannot be read"),
        ("text", "neither a mapping nor a list"),
        ('[{"ParameterKey": "A", "X": 1}]', "entry 1 is not valid"),
        ('["A=1", "A=2"]', "entry 2 is not valid: 'A' appears twice"),
        ("Parameters: {}\nTags: {a: [b]}", "Tags is not valid"),
    ],
)
def test_invalid_file_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        parameter_files.parse("p", text)


@given(
    st.text()
    | st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)).map(json.dumps)
)
def test_any_file_is_read_or_refused(text):
    with contextlib.suppress(InputError):
        for given_value in parameter_files.parse("p", text).parameters.values():
            assert given_value.value is None or isinstance(given_value.value, str | StackOutput)
