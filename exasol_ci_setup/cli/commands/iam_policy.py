"""`iam-policy`: the permissions that deploying a stack needs."""

from __future__ import annotations

import json
import os
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from exasol_ci_setup.cli.constructs import NAMES, STACKS, construct_of, construct_options  # noqa: TID253 - the options are those of the models
from exasol_ci_setup.cli.dry_run import collect_only, dry_run
from exasol_ci_setup.cli.options import ROLE, Pattern
from exasol_ci_setup.cli.session import common_options, together
from exasol_ci_setup.cli.templates import DESCRIPTION, TEMPLATE, template_of, template_options
from exasol_ci_setup.cli.verbs import VerbGroup
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from exasol_ci_setup.access.deployer import DeployerPolicy, StackToDeploy
    from exasol_ci_setup.access.resource_arns import Place
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.constructs.base import Construct

_ACCOUNT: Final = Pattern("account", r"[0-9]{12}", "use the 12 digits of an account ID")
_ANY: Final = "*"
# A valid value of each naming option, which the policy does not contain: each occurrence becomes a wildcard.
_ANY_NAME: Final = "xanynamex"
# What the options are if they are omitted, by the names of their fields.
_OMITTED: Final = {
    "project": _ANY_NAME,
    "name": _ANY_NAME,
    "secret_name": _ANY_NAME,
    # The policy depends neither on the repository nor on the keys.
    "project_url": "https://github.com/owner/repository",
    "secret_user_key": "user",
    "secret_token_key": "token",
}


@click.group("iam-policy", cls=VerbGroup)
def iam_policy() -> None:
    """Print the IAM policy that deploying needs.

    The policy is JSON on stdout: the calls of this tool, and what CloudFormation does with the permissions of the caller. A policy that exceeds the limit
    of IAM, 6,144 characters, is printed as a list of policies. With --into, each is written to its own file. The command does not call AWS.
    """


_options: Final = together(
    click.option(
        "--for",
        "audience",
        type=click.Choice(["caller", "cloudformation-role"]),
        default="caller",
        show_default=True,
        help="cloudformation-role: print the policies and the trust policy of a role for --role-arn.",
    ),
    click.option("--account", type=_ACCOUNT, metavar="ID", help="Account in the ARNs.  [default: any]"),
    click.option(
        "--role-arn",
        type=ROLE,
        metavar="ARN",
        help="Role that CloudFormation uses: the policy of the caller then only allows to pass it.",
    ),
    click.option(
        "--template-bucket", metavar="NAME", help="Bucket for templates and artifacts.  [default: that of this tool]"
    ),
    click.option(
        "--into",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Write each policy to a file in this folder, and print the commands that create the policies.",
    ),
)


def _place(session: Session, account: str | None, regions: Iterable[str] = ()) -> Place:
    from exasol_ci_setup.access.resource_arns import Place

    given = session.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or _ANY
    several = set(regions) or {given}
    region = several.pop() if len(several) == 1 else _ANY
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    return Place(account or _ANY, region, partition)


def _show(
    session: Session, stacks: Sequence[StackToDeploy], place: Place, options: Mapping[str, Any], subject: str
) -> None:
    """Print the policy, or write it to files. `subject` is part of the names of files and policies."""
    from exasol_ci_setup.access.deployer import deployer_policy

    found = _with_any_name(
        deployer_policy(stacks, place, audience=options["audience"], role_arn=options["role_arn"] or "")
    )
    if (into := options["into"]) is None:
        session.output.data(_text(found))
    else:
        # IAM allows 64 characters in the name of a role.
        name = f"exasol-ci-setup-{re.sub(r'[^A-Za-z0-9-]+', '-', subject)}"[:60]
        commands = write_documents(found.documents, into, name=name, trust=found.trust, warn=session.output.warn)
        session.output.data("\n".join(commands))
    for note in found.notes:
        session.output.warn(note)
    session.output.record(
        {
            "type": "iam-policy",
            "policies": list(found.documents),
            "trust_policy": found.trust,
            "notes": list(found.notes),
        }
    )


def policy_of(kind: str, values: Mapping[str, Any], *, account: str, region: str) -> Sequence[Mapping[str, Any]]:
    """Return the policies for deploying a construct of this kind. `values` are its fields; omitted names are wildcards."""
    from exasol_ci_setup.access.deployer import deployer_policy
    from exasol_ci_setup.access.resource_arns import Place

    construct_kind = next(each for each, name in NAMES.items() if name == kind)
    needed = {name: value for name, value in _OMITTED.items() if name in construct_kind.model_fields}
    given = {**needed, **{name: value for name, value in values.items() if value is not None}}
    construct, _ = construct_of(construct_kind, given)
    place = Place(account, region)
    stacks = _stacks([construct], place, {"template_bucket": None})
    return _with_any_name(deployer_policy(stacks, place)).documents


def _with_any_name(policy: DeployerPolicy) -> DeployerPolicy:
    """Return the policy with a wildcard for each omitted name."""
    documents = tuple(json.loads(re.sub(rf"\*?{_ANY_NAME}\*?", _ANY, json.dumps(each))) for each in policy.documents)
    return replace(policy, documents=documents)


def _text(policy: DeployerPolicy) -> str:
    if policy.trust is not None:
        return f'{{\n"TrustPolicy":\n{_document(policy.trust)},\n"Policies":\n{_list(policy.documents)}\n}}'
    return text_of(policy.documents)


def text_of(documents: Sequence[Mapping[str, Any]]) -> str:
    """Return the documents of a policy as JSON: one document, or a list."""
    return _document(documents[0]) if len(documents) == 1 else _list(documents)


def write_documents(
    documents: Sequence[Mapping[str, Any]],
    into: Path,
    *,
    warn: Callable[[str], None],
    name: str,
    trust: Mapping[str, Any] | None = None,
) -> list[str]:
    """Write each document of the policy called `name` to a file, and return the commands that create the managed policies, and with `trust` the role.

    Files of an earlier, longer policy are reported by `warn`. Raises InputError if a file cannot be written.
    """
    from exasol_ci_setup.core.files import write_whole

    files = {into / f"{name}-{number}.json": document for number, document in enumerate(documents, 1)}
    commands = [
        f"aws iam create-policy --policy-name {name}-{number} --policy-document {shlex.quote(f'file://{path}')}"
        for number, path in enumerate(files, 1)
    ]
    if trust is not None:
        path = into / f"{name}-trust.json"
        role = shlex.quote(f"file://{path}")
        commands.append(f"aws iam create-role --role-name {name} --assume-role-policy-document {role}")
        files[path] = trust
    try:
        into.mkdir(parents=True, exist_ok=True)
        for path, document in files.items():
            write_whole(path, f"{_document(document)}\n".encode())
        others = sorted(set(into.glob(f"{name}-[0-9]*.json")) - files.keys())
    except OSError as error:
        raise InputError(f"--into {into} cannot be written: {error.strerror}") from error
    for path in others:
        warn(f"{path} remains from an earlier policy, and is not needed")
    return commands


def _list(documents: Sequence[Mapping[str, Any]]) -> str:
    return "[\n" + ",\n".join(map(_document, documents)) + "\n]"


def _document(document: Mapping[str, Any]) -> str:
    """Return a policy as JSON with one statement in a line, which is much shorter than one value in a line."""
    statements = ",\n".join(f"    {json.dumps(each)}" for each in document["Statement"])
    return f'{{\n  "Version": {json.dumps(document["Version"])},\n  "Statement": [\n{statements}\n  ]\n}}'


def _construct(session: Session, kind: type[Construct], values: dict[str, Any]) -> None:
    given = {name: _OMITTED.get(name) if value is None else value for name, value in values.items()}
    construct, options = construct_of(kind, given)
    place = _place(session, options["account"])
    stacks = _stacks([construct], place, options)
    name = stacks[0].name
    _show(session, stacks, place, options, NAMES[kind] if _ANY_NAME in name else name)


def _stacks(constructs: Iterable[Construct], place: Place, options: Mapping[str, Any]) -> list[StackToDeploy]:
    from exasol_ci_setup.programs.templates import template_of as declared_template
    from exasol_ci_setup.stacks.permissions import of_construct

    found = []
    for construct in constructs:
        declared = declared_template(construct)
        bucket = options["template_bucket"] or ""
        found.append(of_construct(construct, declared.artifacts, declared.parsed, place, bucket=bucket))
    return found


@iam_policy.command(TEMPLATE, help=f"Print the policy for {DESCRIPTION}.")
@template_options
@_options
@common_options
def _template(session: Session, **values: Any) -> None:
    from exasol_ci_setup.stacks.permissions import of_template
    from exasol_ci_setup.stacks.user_template import require_valid_values

    stack, options = template_of(values, fallback_name=_ANY)
    require_valid_values(stack)
    place = _place(session, options["account"])
    found = of_template(stack, place, bucket=options["template_bucket"] or "")
    _show(session, [found], place, options, TEMPLATE if found.name == _ANY else found.name)


@iam_policy.command("fleet", help="Print the policy for the stacks of a fleet.")
@click.argument("file", type=click.Path(path_type=Path))
@_options
@common_options
def _fleet(session: Session, file: Path, **options: Any) -> None:
    from exasol_ci_setup.fleets.read import load

    fleet = load(file, templates=())
    place = _place(session, options["account"], (each.region for each in fleet.targets.values()))
    stacks = _stacks((each.construct for each in fleet.members.values()), place, options)
    _show(session, stacks, place, options, file.stem)


@iam_policy.command("program", help="Print the policy for the stacks of a program; its actions are not included.")
@click.argument("file", type=click.Path(path_type=Path))
@_options
@common_options
def _program(session: Session, file: Path, **options: Any) -> None:
    actions: list[str] = []
    with collect_only():
        _, declared = dry_run(file, actions.append)
    place = _place(session, options["account"], (each.region for each in declared.scopes))
    _show(session, _stacks(declared.constructs.values(), place, options), place, options, file.stem)
    for action in actions:
        session.output.warn(f"the policy does not include what the program does after the deployment: {action}")


def _optional_names(command: click.Command) -> click.Command:
    """Let the options be omitted that only name something."""
    for each in command.params:
        if isinstance(each, click.Option) and each.required and each.name in _OMITTED:
            each.required = False
            each.help = f"{each.help}  [default: any]"
    return command


def _command(kind: type[Construct], description: str) -> None:
    @_optional_names
    @iam_policy.command(NAMES[kind], help=f"Print the policy for {description}.")
    @construct_options(kind)
    @_options
    @common_options
    def command(session: Session, **values: Any) -> None:
        _construct(session, kind, values)


for _kind, _description in STACKS.items():
    _command(_kind, _description)
