"""Rules for every command: help, options, and an entry in the documentation."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from exasol_ci_setup import __version__
from exasol_ci_setup.cli.constructs import BUILDER_OPTIONS, NAMES, OPTIONS
from exasol_ci_setup.cli.main import COMMANDS, PROGRAM, SPELLINGS, cli
from exasol_ci_setup.constructs import BuildkitBuilder, ContainerBuilder

ROOT = Path(__file__).parents[2]
ROWS = {name: text for section in COMMANDS.values() for name, _, text in section}


def all_commands() -> dict[str, click.Command]:
    """Every command with the words that call it, those in groups too."""
    context = click.Context(cli)
    found: dict[str, click.Command] = {}
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found |= {f"{name} {inner}": each for inner, each in command.commands.items()}
        found[name] = command
    return found


ALL = all_commands()


SHARED = {"--aws-profile", "--region", "--log-level", "--output", "--sandbox"}


@pytest.mark.parametrize("name", all_commands())
def test_help_lists_own_options_before_shared_ones(name):
    options = [each for each in all_commands()[name].params if isinstance(each, click.Option) and not each.hidden]
    is_shared = [each.opts[0] in SHARED and not each.expose_value for each in options]

    assert is_shared == sorted(is_shared)


@pytest.mark.parametrize("words", [["deploy-ci-build"], ["space", "add"], ["generate-buildspec"], []])
def test_help_in_80_columns_breaks_no_word_at_hyphen(program, words):
    shown = program(*words, "--help").stdout

    # Click's runner sets the width.
    broken = [line.split()[-1] for line in shown.splitlines() if line.endswith("-")]
    # The name of an image is longer than a line of the column.
    assert broken in ([], ["aws/codebuild/amazonlinux-"])
    assert "\N{NON-BREAKING HYPHEN}" not in shown


@pytest.mark.parametrize(
    "name", ["space", "storage", "secret", "sandbox", "registry", "hosted", "asset", "cost", "diff"]
)
def test_help_of_group_has_whole_sentences(program, name):
    shown = program(name, "--help").stdout

    assert "..." not in shown.replace("[ARGS]...", "")


@pytest.mark.parametrize("name", ALL)
def test_every_command_has_help(name, program):
    ran = program(*name.split(), "--help")

    assert ran.code == 0
    assert ran.stdout.startswith(f"Usage: {PROGRAM} {name}")
    assert not ran.stderr


@pytest.mark.parametrize("word", SPELLINGS)
def test_every_second_word_is_command(word, program):
    listed = program(word, "--help").stdout
    for second, name in SPELLINGS[word].items():
        ran = program(word, second, "--help")

        assert ran.code == 0
        assert ran.stdout.startswith(f"Usage: {PROGRAM} {word} {second}")
        assert ran.stdout.partition("Options:")[2] == program(name, "--help").stdout.partition("Options:")[2]
        assert f"  {second} " in listed
    assert program(word, "nosuch").code == 2


def test_overview_begins_with_five_commands(program):
    text = program("--help").stdout

    first = text.partition("Start here:\n")[2].partition("\n\n")[0]
    assert [line.split()[0] for line in first.splitlines() if line[2] != " "] == [
        *("init", "health", "deploy-ci-build", "start-ci-build", "logs"),
    ]
    assert "validate-KIND" in text
    assert "validate-registry" not in text


@pytest.mark.parametrize("name", ALL)
def test_every_option_has_help(name):
    command = ALL[name]

    assert command.help
    assert [p.name for p in command.params if isinstance(p, click.Option) and not p.help] == []


@pytest.mark.parametrize("name", ROWS)
def test_overview_equals_first_line_of_command_help(name):
    assert ALL[name].help.splitlines()[0].rstrip(".") == ROWS[name]


@pytest.mark.parametrize("name", ALL)
def test_every_command_is_documented(name):
    # Its reference is made from it, so that is no proof of an explanation.
    pages = [ROOT / "README.md", *(set((ROOT / "docs").glob("*.md")) - {ROOT / "docs" / "cli.md"})]

    assert any(re.search(rf"{PROGRAM}[^\n`]* {name}\b", page.read_text(encoding="utf-8")) for page in pages)


@pytest.mark.parametrize("kind", OPTIONS, ids=NAMES.get)
def test_options_of_construct_are_fields_of_model(kind):
    @click.command()
    def command(**_values):
        pass

    for option in OPTIONS[kind]:
        option(command)
    given = {parameter.name for parameter in command.params} | {
        p.name for p in getattr(command, "__click_params__", [])
    }

    # Its ARN is looked up, a scope is a program's, and programs set sources, tags, permissions, secrets, disks and scripts.
    fields = {info.alias or name for name, info in kind.model_fields.items()}
    fields -= {
        "docker_secret_arn",
        "scope",
        "source",
        "tags",
        "role_policy",
        "user_data",
        "build_context",
        "build_arguments",
        "build_secrets",
        "kms_keys",
        "volumes",
    }
    if kind is ContainerBuilder:
        fields = fields - {"builder"} | set(BUILDER_OPTIONS)
    assert given == fields


@pytest.mark.parametrize("kind", OPTIONS, ids=NAMES.get)
def test_help_of_option_begins_with_description_of_field(kind):
    @click.command()
    def command(**_values):
        pass

    for option in OPTIONS[kind]:
        option(command)
    for parameter in [*command.params, *getattr(command, "__click_params__", [])]:
        aliases = {"stack_name": "stack", "codebuild_name": "codebuild", "permissions_boundary": "boundary"}
        name = aliases.get(parameter.name, parameter.name)
        model = BuildkitBuilder if kind is ContainerBuilder and name in BUILDER_OPTIONS else kind
        described, _, default = model.model_fields[name].description.partition(" Default: ")
        described = re.sub(r"`(\w+)`", lambda match: f"--{match[1].replace('_', '-')}", described).removesuffix(".")
        assert re.match(re.escape(described).replace("construct", ".+"), parameter.help)
        assert default.removesuffix(".") in parameter.help


def test_no_help_of_option_is_written_by_hand():
    source = (ROOT / "exasol_ci_setup" / "cli" / "constructs.py").read_text(encoding="utf-8")

    assert source.count("help=") == 1


# They work on files, or on this machine.
WITHOUT_AWS = ("completion", "sandbox", "generate-", "run-buildspec", "container-manager", "hosted")


TALKING = [
    name
    for name, command in ALL.items()
    if not name.startswith(WITHOUT_AWS) and name != "diff" and not isinstance(command, click.Group)
]


@pytest.mark.parametrize("name", TALKING)
def test_every_aws_command_has_aws_options(name):
    options = {option for parameter in ALL[name].params for option in parameter.opts}

    assert options >= {"--aws-profile", "--region", "--log-level", "--output", "--sandbox"}


def test_unknown_command_is_bad_usage(program):
    ran = program("deploy-everything")

    assert ran.code == 2
    assert "No such command 'deploy-everything'" in ran.stderr
    assert not ran.stdout


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("lst", "Did you mean 'list'?"),
        ("deploy-ci-buil", "'deploy-ci-build'"),
        ("heal", "Did you mean 'health'?"),
        ("ci-build", "Did you mean one of: 'deploy-ci-build', 'start-ci-build', 'validate-ci-build'?"),
        ("deploy ci", "Did you mean 'ci-build'?"),
        ("deploy ci-buid", "Did you mean 'ci-build'?"),
        ("cost ci", "Did you mean 'ci-build'?"),
        ("fleet ini", "Did you mean 'init'?"),
        ("qqq", "'qqq'.\n"),
        ("deploy qqq", "'qqq'.\n"),
    ],
)
def test_mistyped_command_has_suggestion(program, name, suggestion):
    ran = program(*name.split())

    assert ran.code == 2
    assert suggestion in ran.stderr


def test_all_missing_options_are_in_one_error(program):
    ran = program("deploy-source-credentials", "--secret-user-key", "user")

    assert ran.code == 2
    assert "Missing options '--secret-name', '--secret-token-key'." in ran.stderr


def test_version_is_that_of_package(program):
    assert program("--version").stdout == f"{PROGRAM} {__version__}\n"


def test_top_version_of_changelog_is_that_of_package():
    found = re.search(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert found
    assert found[1] == __version__


def test_help_imports_nothing_heavy():
    check = (
        "import sys\n"
        "from exasol_ci_setup.cli.main import cli\n"
        "cli.main(['--help'], standalone_mode=False)\n"
        "heavy = {'boto3', 'botocore', 'cfnlint', 'pydantic', 'jinja2', 'yaml', 'rich', 'ministack', 'hypercorn'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )

    ran = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)

    assert ran.stderr == "[]\n"


def test_offline_validation_does_not_import_boto3():
    check = (
        "import sys\n"
        "from exasol_ci_setup.cli.main import cli\n"
        "cli.main(['validate-ci-build', '--offline', '--project', 'P', '--project-url', 'https://github.com/a/b'],"
        " standalone_mode=False)\n"
        "print('boto3' in sys.modules)\n"
    )

    ran = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)

    assert ran.stdout == "False\n"


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (("space", "status"), "'get'"),
        (("space", "ssh"), "'exec'"),
        (("space", "restat"), "one of: 'restart', 'create'"),
        (("registry", "rm"), "'delete'"),
        (("storage", "ls"), "one of: 'list', 'list-object'"),
        (("storage", "cp"), "one of: 'copy-object', 'get-object', 'put-object'"),
        (("storage", "mv"), "'move-object'"),
        (("storage", "put"), "'put-object'"),
        (("secret", "show"), "'get'"),
    ],
)
def test_word_of_other_program_suggests_command_of_group(program, arguments, suggestion):
    ran = program(*arguments)
    assert ran.code == 2
    assert f"No such command {arguments[1]!r}." in ran.stderr
    assert f"id you mean {suggestion}?" in ran.stderr
