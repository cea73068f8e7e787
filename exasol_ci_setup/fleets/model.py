"""The model of a fleet file: accounts, defaults, projects, and stacks of templates."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, create_model, model_validator

from exasol_ci_setup.constructs.ci import CiBuild, ProjectName, ReleaseBuild
from exasol_ci_setup.constructs.repository import RepositoryUrl
from exasol_ci_setup.constructs.scope import Region, Scope
from exasol_ci_setup.constructs.source import SourceCredentials
from exasol_ci_setup.constructs.values import Name, RoleArn, StackName, Value, between, matching, refusal
from exasol_ci_setup.template.input_files import StackOutput

if TYPE_CHECKING:
    from typing import TypeAlias

    from exasol_ci_setup.constructs.base import Construct

# The project's name and repository are keys above both of its constructs, and the ARN of the secret is looked up.
_GIVEN: Final = frozenset({"project", "project_url", "docker_secret_arn", "scope"})
# Options that two projects cannot share.
_OWN: Final = frozenset({"stack", "codebuild", "bucket_name"})

AccountId = Annotated[
    str, matching(r"[0-9]{12}", 'use the 12 digits of an account in quotation marks, such as "123456789012"')
]
OrganizationalUnit = Annotated[
    str,
    matching(
        r"ou-[a-z0-9]{4,32}-[a-z0-9]{8,32}|r-[a-z0-9]{4,32}",
        "use the id of an organizational unit, such as ou-ab12-cd34ef56, or of the organization's root, such as r-ab12",
    ),
]
"""Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeploymentTargets.html."""

_Percentage = Annotated[int, between(0, 100, "percent")]

TagKey = Annotated[
    str,
    matching(
        r"(?![aA][wW][sS]:)(?!exasol-ci-setup:)[^\n]{1,128}",
        "use 1 to 128 characters, not starting with aws:, which is reserved by AWS, or with exasol-ci-setup:, which marks the stacks of this tool",
    ),
]
TagValue = Annotated[str, matching(r"[^\n]{1,256}", "use 1 to 256 characters")]
"""Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Tag.html."""


def _options_of(kind: type[Construct], suffix: str, omitted: frozenset[str]) -> Any:
    """Return a model of the options of a construct: its fields, without those in `omitted`."""
    fields: dict[str, Any] = {
        name: (each.annotation, copy(each)) for name, each in kind.model_fields.items() if name not in omitted
    }
    return create_model(f"{kind.__name__}{suffix}", __base__=Value, __module__=__name__, **fields)


if TYPE_CHECKING:
    CiOptions: TypeAlias = Value
    ReleaseOptions: TypeAlias = Value
    CiDefaults: TypeAlias = Value
    ReleaseDefaults: TypeAlias = Value
    CredentialsOptions: TypeAlias = Value
else:
    CiOptions = _options_of(CiBuild, "Options", _GIVEN)
    ReleaseOptions = _options_of(ReleaseBuild, "Options", _GIVEN)
    CiDefaults = _options_of(CiBuild, "Defaults", _GIVEN | _OWN)
    ReleaseDefaults = _options_of(ReleaseBuild, "Defaults", _GIVEN | _OWN)
    CredentialsOptions = _options_of(SourceCredentials, "Options", frozenset({"scope"}))


class StackSet(Value):
    """How `--stack-set` distributes a target's stacks over an organization's accounts.

    All names are CloudFormation's: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_StackSetOperationPreferences.html.
    Counts are of accounts in each region.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                {"not": {"required": [*names], "properties": {name: {"type": "integer"} for name in names}}}
                for names in (
                    ["failure_tolerance", "failure_tolerance_percentage"],
                    ["max_concurrent", "max_concurrent_percentage"],
                )
            ]
        }
    )

    organizational_units: Annotated[
        tuple[OrganizationalUnit, ...],
        Field(strict=False, min_length=1, description="Units, or the root, whose accounts get the stacks."),
    ]
    accounts: Annotated[
        tuple[AccountId, ...], Field(strict=False, description="Only these accounts of the units. Default: all.")
    ] = ()
    regions: Annotated[
        tuple[Region, ...], Field(strict=False, min_length=1, description="Regions, in the order of deployment.")
    ]
    region_concurrency: Annotated[
        Literal["sequential", "parallel"], Field(description="Regions sequentially, or in parallel.")
    ] = "sequential"
    failure_tolerance: Annotated[
        Annotated[int, between(0, 100_000, "accounts")] | None,
        Field(description="Number of accounts of a region that may fail before AWS stops. Default: 0."),
    ] = None
    failure_tolerance_percentage: Annotated[
        _Percentage | None, Field(description="Percentage of a region's accounts that may fail.")
    ] = None
    max_concurrent: Annotated[
        Annotated[int, between(1, 100_000, "accounts")] | None,
        Field(description="Number of accounts in parallel. Default: 1."),
    ] = None
    max_concurrent_percentage: Annotated[
        Annotated[int, between(1, 100, "percent")] | None,
        Field(description="Percentage of the accounts in parallel."),
    ] = None
    concurrency_mode: Annotated[
        Literal["strict", "soft"],
        Field(description="strict: at most the tolerated failures plus one in parallel. soft: as max_concurrent says."),
    ] = "strict"
    auto_deployment: Annotated[
        bool, Field(description="Create the stacks in accounts that join a unit, delete them in those that leave.")
    ] = True
    retain_stacks: Annotated[bool, Field(description="Keep the stacks of accounts that leave a unit.")] = False
    delegated_admin: Annotated[
        bool, Field(description="The target is a delegated administrator and not the management account.")
    ] = False

    @model_validator(mode="after")
    def _require_one_form(self) -> StackSet:
        for name in ("failure_tolerance", "max_concurrent"):
            if getattr(self, name) is not None and getattr(self, f"{name}_percentage") is not None:
                raise refusal(f"set {name} or {name}_percentage, not both")
        return self


class Target(Value):
    """An account and region for stacks.

    The roles in `role_assumptions` are assumed in this order, starting with the credentials of `profile`. `source_credentials`
    is the stack with CodeBuild's access to GitHub; AWS has one for each account and region.
    """

    region: Annotated[Region, Field(description="The region, such as eu-central-1.")]
    profile: Annotated[
        str | None, Field(description="Profile of the AWS configuration. Default: the credential chain of AWS.")
    ] = None
    role_assumptions: Annotated[
        tuple[RoleArn, ...], Field(strict=False, description="Roles to assume, in this order.")
    ] = ()
    allowed_accounts: Annotated[
        tuple[AccountId, ...] | None,
        Field(
            strict=False,
            description="Accounts that the credentials may belong to. Any other account is rejected first.",
        ),
    ] = None
    source_credentials: Annotated[
        CredentialsOptions | None,
        Field(description="CodeBuild's access to GitHub; projects that need it are deployed after it."),
    ] = None
    stack_set: Annotated[
        StackSet | None, Field(description="Distribution of the stacks with --stack-set; the target administers them.")
    ] = None

    def scope(self, name: str) -> Scope:
        """Return the scope for the target's stacks."""
        return Scope(name=name, region=self.region, profile=self.profile, role_assumptions=self.role_assumptions)


class Defaults(Value):
    """The defaults of all projects."""

    target: Annotated[Name | None, Field(description="The target of projects without one.")] = None
    tags: dict[TagKey, TagValue] = Field(default_factory=dict, description="Tags of all stacks, the targets' own too.")
    ci: Annotated[CiDefaults | None, Field(description="Options of the CI stacks.")] = None
    release: Annotated[ReleaseDefaults | None, Field(description="Options of the release stacks.")] = None


class Project(Value):
    """A repository with its stacks. A key without options (`ci:`) also declares its stack."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["ci"]}, {"required": ["release"]}]})

    project_url: Annotated[RepositoryUrl, Field(description="The repository: https://github.com/OWNER/REPO")]
    target: Annotated[Name | None, Field(description="The target of its stacks.")] = None
    needs: Annotated[
        tuple[ProjectName, ...], Field(strict=False, description="Projects whose stacks are deployed first.")
    ] = ()
    tags: dict[TagKey, TagValue | None] = Field(
        default_factory=dict,
        description="Tags of its stacks, in addition to those of the defaults; null removes one of these.",
    )
    ci: Annotated[CiOptions | None, Field(description="The stack that builds each push.")] = None
    release: Annotated[ReleaseOptions | None, Field(description="The stack that builds releases.")] = None

    @model_validator(mode="after")
    def _has_a_stack(self) -> Project:
        if not {"ci", "release"} & self.model_fields_set:
            raise refusal("it has neither ci nor release")
        return self


@dataclass(frozen=True, slots=True)
class InvalidTag:
    """A value with a YAML tag that is unknown or has an invalid value; `rule` says what is valid."""

    text: str
    rule: str

    def __str__(self) -> str:
        return f"{self.text}: {self.rule}"


def _require_parameter(value: Any) -> Any:
    if not isinstance(value, str | StackOutput) and not _is_list_of_texts(value):
        raise refusal("use text, a list of texts, or !StackOutput STACK.OUTPUT")
    return value


def _require_variable(value: Any) -> Any:
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, InvalidTag):
            raise refusal(str(each))
        if isinstance(each, StackOutput):
            raise refusal("!StackOutput is for parameters: a template is rendered before its outputs are known")
        left += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
    return value


# What a parameter file accepts as a value. The reader of the file keeps scalars as they are written.
_ParameterValue = Annotated[
    Any,
    AfterValidator(_require_parameter),
    WithJsonSchema({"type": ["string", "number", "boolean", "array"]}),
]
_Variable = Annotated[Any, AfterValidator(_require_variable)]


class FleetStack(Value):
    """A stack of a CloudFormation template of your own."""

    template: Annotated[
        str, Field(min_length=1, description="The template, relative to this file: YAML, JSON, or Jinja (.j2).")
    ]
    target: Annotated[Name | None, Field(description="The target of the stack.")] = None
    stack_name: Annotated[
        StackName | None, Field(description="The name of the stack. Default: the key of this entry.")
    ] = None
    vars: dict[str, _Variable] = Field(default_factory=dict, description="Variables of a Jinja template.")
    parameters: dict[str, _ParameterValue] = Field(
        default_factory=dict,
        description="Parameters of the template. !StackOutput STACK.OUTPUT, or !StackOutput TARGET/STACK.OUTPUT, is an output of another stack.",
    )
    needs: Annotated[
        tuple[str, ...],
        Field(strict=False, description="Entries of stacks that are deployed first, besides those of !StackOutput."),
    ] = ()
    tags: dict[TagKey, TagValue | None] = Field(
        default_factory=dict, description="Tags in addition to those of the defaults; null removes one of these."
    )
    protect: Annotated[bool | None, Field(description="Termination protection. Default: unchanged.")] = None


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


class FleetFile(Value):
    """Stacks of many projects and templates, for exasol-ci-setup deploy-fleet."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["projects"]}, {"required": ["stacks"]}]})

    name: Annotated[
        Name | None,
        Field(
            description="Name of the fleet, a tag of its stacks. With it, --prune finds stacks that are no longer in the file."
        ),
    ] = None
    targets: Annotated[
        dict[Name, Target], Field(min_length=1, description="The accounts and regions of stacks, by name.")
    ]
    defaults: Annotated[Defaults, Field(description="The defaults of all projects.")] = Defaults()
    projects: dict[ProjectName, Project] = Field(
        default_factory=dict, description="The projects, by the names of their stacks."
    )
    stacks: dict[Name, FleetStack] = Field(
        default_factory=dict, description="Stacks of templates of your own, by their names."
    )

    @model_validator(mode="after")
    def _has_a_stack(self) -> FleetFile:
        if not self.projects and not self.stacks:
            raise refusal("it has neither projects nor stacks")
        return self
