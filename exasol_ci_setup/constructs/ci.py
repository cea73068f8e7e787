"""The CodeBuild projects of one repository: one tests each push, the other builds releases."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from exasol_ci_setup.constructs.base import Construct
from exasol_ci_setup.constructs.host import BuildHost, BuildNetwork
from exasol_ci_setup.constructs.policy import PolicyArn, PolicyArns, PolicyStatements, RolePath
from exasol_ci_setup.constructs.repository import RepositoryUrl, is_on_github_com
from exasol_ci_setup.constructs.values import (
    GroupId,
    Items,
    KeyArn,
    SecretArn,
    SecretName,
    between,
    matching,
    refusal,
)
from exasol_ci_setup.core.build_settings import (
    DEFAULT_BATCH_LIMIT,
    DEFAULT_BUILDSPECS,
    DEFAULT_DOCKER_SECRET,
    NO_DOCKER_SECRET,
)
from exasol_ci_setup.core.tags import TAG_PREFIX

if TYPE_CHECKING:
    # pydantic does not read the annotation of a class variable.
    from collections.abc import Mapping  # noqa: TC004

    from typing_extensions import Self

DEFAULT_BRANCH_FILTER: Final = (
    "^refs/heads/(((main|master|develop)$)"
    "|((rebuild|feature|bug|enhancement|refactoring|ci|security|doc|documentation)/.*))"
)
"""Pushes to the main branches and to the prefixes of work branches start a build."""

RetentionInDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
]
"""The values that CloudWatch Logs accepts:
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html."""

Cache = Literal["none", "docker", "source", "s3"]
"""The cache of a build: none, Docker layers or Git data on the build host, or files in the artifacts bucket.

A cache on the host is not available with every host and in a VPC, and one of Docker layers needs privileged mode:
https://docs.aws.amazon.com/codebuild/latest/userguide/caching-local.html."""

_GPU_SIZES: Final = ("BUILD_GENERAL1_SMALL", "BUILD_GENERAL1_LARGE")
"""Source: https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-compute-types.html."""

_CONNECTION_VERBS: Final = ("GetConnection", "GetConnectionToken", "UseConnection")

_RESERVED_PREFIXES: Final = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES: Final = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


def _is_free_of_reserved_names(bucket: str) -> str:
    if bucket.startswith(_RESERVED_PREFIXES) or bucket.endswith(_RESERVED_SUFFIXES):
        raise refusal(f"S3 reserves {', '.join((*_RESERVED_PREFIXES, *_RESERVED_SUFFIXES))}")
    return bucket


BucketName = Annotated[
    str,
    matching(
        r"(?![0-9.]+\Z)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
        "use 3 to 63 lowercase letters, digits, dots and hyphens, the first and last a letter or digit,"
        " without two dots in a row and not in the form of an IP address",
    ),
    AfterValidator(_is_free_of_reserved_names),
]
"""Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html."""

ProjectName = Annotated[
    str,
    matching(
        # The longest derived name is the stack ${PROJECT}Release, with at most 128 characters in CloudFormation.
        # This also satisfies CodeBuild's rule, [A-Za-z0-9][A-Za-z0-9-_]{1,149}.
        r"[a-zA-Z][-a-zA-Z0-9]{0,120}",
        "use letters, digits and hyphens, the first a letter, at most 121 characters,"
        " since stacks and CodeBuild projects are named after it",
    ),
]

CodebuildName = Annotated[
    str,
    matching(
        r"[A-Za-z0-9][A-Za-z0-9_-]{1,149}",
        "use 2 to 150 letters, digits, hyphens and underscores, the first a letter or digit",
    ),
]
"""Source: https://docs.aws.amazon.com/codebuild/latest/APIReference/API_CreateProject.html."""

BranchFilter = Annotated[
    str, matching(r".+", "use a regular expression for the full name of the branch, such as ^refs/heads/main$")
]

Filter = Annotated[str, matching(r".+", "use a regular expression")]

BuildspecPath = Annotated[
    str,
    matching(
        r"(?!/)(?:(?!\.{1,2}(?:/|\Z))[^/\s:{}]+/)*(?!\.{1,2}\Z)[^/\s:{}]+",
        "use the path of the file in the repository, such as ci/buildspec.yaml",
    ),
]

ConnectionArn = Annotated[
    str,
    matching(
        r"arn:aws[a-z-]*:(codeconnections|codestar-connections):[a-z0-9-]+:[0-9]{12}:connection/[A-Za-z0-9-]+",
        "use the ARN of a connection,"
        " such as arn:aws:codeconnections:eu-central-1:123456789012:connection/aEXAMPLE-8aad-4d5d-8878-dfcab0bc441f",
    ),
]

Minutes = Annotated[int, between(5, 2160, "minutes")]
"""CodeBuild's rule: https://docs.aws.amazon.com/codebuild/latest/userguide/limits.html."""


class _Build(BuildHost, BuildNetwork, Construct):
    """A CodeBuild project that runs batches, with its bucket, roles and log group. Times are in minutes or days."""

    # The template depends on the host of the repository.
    known_first: ClassVar[frozenset[str]] = Construct.known_first | {"project_url"}
    suffix: ClassVar[str]
    stack_suffix: ClassVar[str]
    keeps_versions: ClassVar[bool] = False
    """Whether the bucket keeps the earlier versions of an artifact that another build overwrites."""

    project: Annotated[
        ProjectName, Field(description="Name of the project; the names of the stack and its resources derive from it.")
    ]
    project_url: Annotated[
        RepositoryUrl,
        Field(
            description="URL of the repository: https://github.com/OWNER/REPO, or of one on GitHub Enterprise Server."
        ),
    ]
    codebuild: Annotated[
        CodebuildName | None,
        Field(alias="codebuild_name", description="Name of the CodeBuild project, after which its log group is named."),
    ] = None
    bucket_name: Annotated[
        BucketName | None, Field(description="Name of the artifacts bucket. Default: generated by CloudFormation.")
    ] = None
    buildspec: Annotated[BuildspecPath, Field(description="Batch file in the repository that the project reads.")]
    gpu: Annotated[bool, Field(description="Run builds on a host with a GPU.")] = False
    privileged: Annotated[
        bool, Field(description="Run builds in privileged mode, which the Docker engine in a build needs.")
    ] = True
    timeout_in_minutes: Annotated[Minutes, Field(description="Time limit of one build.")] = 240
    batch_timeout_in_minutes: Annotated[Minutes, Field(description="Time limit of a batch.")] = 240
    queued_timeout_in_minutes: Annotated[
        Annotated[int, between(5, 480, "minutes")] | None,
        Field(description="Time limit of a build that waits for a host. Default: 480."),
    ] = None
    concurrent_build_limit: Annotated[
        Annotated[int, between(1, 10_000, "builds")] | None,
        Field(description="Maximum builds of the project at the same time; AWS rejects more. Default: no limit."),
    ] = None
    log_retention_in_days: Annotated[RetentionInDays, Field(description="Days to keep logs.")]
    artifact_retention_in_days: Annotated[int, between(1, 36_500, "days"), Field(description="Days to keep artifacts.")]
    docker_secret: Annotated[
        SecretName,
        Field(
            description="Name or ARN of the secret with the Docker Hub keys User and AccessToken; none for builds without login."
        ),
    ] = DEFAULT_DOCKER_SECRET
    docker_secret_arn: Annotated[
        SecretArn | None, Field(description="Full ARN of that secret. Default: looked up before a deployment.")
    ] = None
    policy_statements: Annotated[
        PolicyStatements, Field(description="Additional permissions of builds: statements of an IAM policy.")
    ] = ()
    managed_policy_arns: Annotated[PolicyArns, Field(description="Managed policies of the role of builds.")] = ()
    test_reports: Annotated[
        bool, Field(description="Allow builds to publish test reports of the project in CodeBuild.")
    ] = False
    boundary: Annotated[
        PolicyArn | None,
        Field(alias="permissions_boundary", description="ARN of the policy that limits the roles of the stack."),
    ] = None
    role_path: Annotated[RolePath, Field(description="Path of the roles of the stack.")] = "/"
    kms_key_arn: Annotated[
        KeyArn | None,
        Field(description="Key that encrypts artifacts and logs. Default: the keys of S3 and CloudWatch."),
    ] = None
    auto_retry_limit: Annotated[
        int, between(0, 10, "retries"), Field(description="How often AWS retries a failed build.")
    ] = 0
    cache: Annotated[Cache, Field(description="What builds cache for later builds.")] = "none"
    connection_arn: Annotated[
        ConnectionArn | None,
        Field(description="CodeConnections connection to GitHub. Default: the token of the source-credentials stack."),
    ] = None
    security_groups: Annotated[Items[GroupId], Field(description="Security groups of builds by ID.")] = ()
    # AWS documents no maximum; this one detects a typing error.
    batch_limit: Annotated[
        int, between(1, 1000, "builds in one batch"), Field(description="Maximum builds in a batch.")
    ] = DEFAULT_BATCH_LIMIT

    @model_validator(mode="after")
    def _has_access_to_its_repository(self) -> Self:
        if self.connection_arn is None and not is_on_github_com(self.project_url):
            raise refusal(
                f"{self.project_url} is on GitHub Enterprise Server, so it needs a connection to the server:"
                " --connection-arn, or connection_arn in a program or fleet"
            )
        return self

    @model_validator(mode="after")
    def _has_gpu_host(self) -> Self:
        if not self.gpu:
            return self
        if super().environment_type != "LINUX_CONTAINER" or self.compute_type not in _GPU_SIZES:
            raise refusal(f"hosts with a GPU have x86_64 processors and the compute types {' and '.join(_GPU_SIZES)}")
        return self

    @model_validator(mode="after")
    def _has_available_cache(self) -> Self:
        if self.cache in {"none", "s3"}:
            return self
        reason = "in a VPC" if self.vpc_id is not None else "with a GPU" if self.gpu else ""
        if not self.has_local_cache:
            reason = f"with compute type {self.compute_type}"
        if reason:
            raise refusal(f"CodeBuild has no cache on the host of builds {reason}: use the cache s3 or none")
        if self.cache == "docker" and not self.privileged:
            raise refusal("the cache docker needs privileged mode: use the cache source, s3 or none")
        return self

    @property
    def environment_type(self) -> str:
        """The type of the build environment in CodeBuild."""
        return "LINUX_GPU_CONTAINER" if self.gpu else super().environment_type

    @property
    def source_type(self) -> str:
        """The type of the repository in CodeBuild."""
        return "GITHUB" if is_on_github_com(self.project_url) else "GITHUB_ENTERPRISE"

    @property
    def permissions_boundary(self) -> str | None:
        """The policy that limits the roles of the stack: its own, that of the scope, or None."""
        return self.boundary or super().permissions_boundary

    @property
    def has_docker_login(self) -> bool:
        """Whether builds log in to Docker Hub."""
        return self.docker_secret != NO_DOCKER_SECRET

    @property
    def stack_name(self) -> str:
        """The name of the stack: the one that is set, or one after the project."""
        return self.stack if self.stack is not None else f"{self.project}{self.stack_suffix}"

    @property
    def needs_access_to_github(self) -> bool:
        """Whether builds use the GitHub credentials of the account: a connection replaces them."""
        return self.connection_arn is None

    @property
    def codebuild_name(self) -> str:
        """The name of the CodeBuild project: the one that is set, or one after the project."""
        return self.codebuild if self.codebuild is not None else f"{self.project}{self.suffix}"

    @property
    def log_group_name(self) -> str:
        """The name of the log group. CodeBuild would create it under the same name, without an expiry."""
        return f"/aws/codebuild/{self.codebuild_name}"

    @property
    def known_docker_secret_arn(self) -> str | None:
        """The full ARN of the Docker secret, or None if only its name is known."""
        if self.docker_secret_arn is None and self.docker_secret.startswith("arn:"):
            return self.docker_secret
        return self.docker_secret_arn

    @property
    def unknown_docker_secret(self) -> str | None:
        """The name of the Docker secret if its ARN must be looked up, or None."""
        return self.docker_secret if self.has_docker_login and self.known_docker_secret_arn is None else None

    @property
    def connection_actions(self) -> tuple[str, ...]:
        """The permissions of a build for its connection.

        AWS checks a connection whose ARN has the older service name under either name. Source:
        https://docs.aws.amazon.com/codebuild/latest/userguide/connections-github-app.html.
        """
        older = self.connection_arn is not None and ":codestar-connections:" in self.connection_arn
        services = ("codeconnections", "codestar-connections") if older else ("codeconnections",)
        return tuple(f"{service}:{verb}" for service in services for verb in _CONNECTION_VERBS)

    @property
    def lint_template_key(self) -> Construct:
        """The same for a project of another name: apart from them, a template does not depend on the name or the repository."""
        host = "github.com" if is_on_github_com(self.project_url) else "github.example.com"
        return self.model_copy(
            update={
                "project": "Project",
                "project_url": f"https://{host}/owner/repository",
                "stack": None,
                "codebuild": None,
            }
        )

    @property
    def tags(self) -> dict[str, str]:
        """The tags that identify a stack of this tool and of the project."""
        return {**super().tags, f"{TAG_PREFIX}project": self.project}


class CiBuild(_Build):
    """Builds and tests the repository on each push to a branch that `branch_filter` matches."""

    template: ClassVar[str] = "ci_build.yaml.j2"
    suffix: ClassVar[str] = "CodeBuild"
    stack_suffix: ClassVar[str] = ""

    buildspec: Annotated[BuildspecPath, Field(description="Batch file in the repository that the project reads.")] = (
        DEFAULT_BUILDSPECS["ci"]
    )
    branch_filter: Annotated[
        BranchFilter,
        Field(
            description="Pushes to matching branches start a build. Default: main, master, develop and the usual prefixes."
        ),
    ] = DEFAULT_BRANCH_FILTER
    path_filter: Annotated[
        Filter | None, Field(description="Only pushes that change a file with a matching path start a build.")
    ] = None
    exclude_path_filter: Annotated[
        Filter | None, Field(description="Pushes that change a file with a matching path start no build.")
    ] = None
    commit_message_filter: Annotated[
        Filter | None, Field(description="Only pushes with a matching commit message start a build.")
    ] = None
    exclude_commit_message_filter: Annotated[
        Filter | None, Field(description="Pushes with a matching commit message start no build.")
    ] = None
    log_retention_in_days: Annotated[RetentionInDays, Field(description="Days to keep logs.")] = 14
    artifact_retention_in_days: Annotated[
        int, between(1, 36_500, "days"), Field(description="Days to keep artifacts.")
    ] = 30

    @property
    def has_webhook_in_stack(self) -> bool:
        """Whether CloudFormation creates the webhook, which it cannot for GitHub Enterprise.

        Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-codebuild-project-projecttriggers.html.
        """
        return is_on_github_com(self.project_url)

    @property
    def webhook_groups(self) -> str:
        """The filter groups of the webhook in JSON, as the AWS CLI accepts them."""
        filters = [
            {"type": kind, "pattern": pattern, **({"excludeMatchedPattern": True} if excludes else {})}
            for kind, pattern, excludes in (("EVENT", "PUSH", False), *self.webhook_filters)
        ]
        return json.dumps([filters])

    @property
    def webhook_filters(self) -> tuple[tuple[str, str, bool], ...]:
        """The filters of the webhook besides its event: type, pattern, and whether matching pushes start no build."""
        found = (
            ("HEAD_REF", self.branch_filter, False),
            ("FILE_PATH", self.path_filter, False),
            ("FILE_PATH", self.exclude_path_filter, True),
            ("COMMIT_MESSAGE", self.commit_message_filter, False),
            ("COMMIT_MESSAGE", self.exclude_commit_message_filter, True),
        )
        return tuple((kind, pattern, excludes) for kind, pattern, excludes in found if pattern is not None)


class ReleaseBuild(_Build):
    """Builds the repository's release artifacts when `start-release-build` requests it; it has no other trigger."""

    template: ClassVar[str] = "release_build.yaml.j2"
    suffix: ClassVar[str] = "ReleaseCodeBuild"
    stack_suffix: ClassVar[str] = "Release"
    former_ids: ClassVar[Mapping[str, str]] = MappingProxyType(
        {name: f"Release{name}" for name in ("ArtifactsBucket", "BatchBuildRole", "CodeBuildLogGroup", "CodeBuildRole")}
    )
    keeps_versions: ClassVar[bool] = True

    buildspec: Annotated[BuildspecPath, Field(description="Batch file in the repository that the project reads.")] = (
        DEFAULT_BUILDSPECS["release"]
    )
    log_retention_in_days: Annotated[RetentionInDays, Field(description="Days to keep logs.")] = 180
    artifact_retention_in_days: Annotated[
        int, between(1, 36_500, "days"), Field(description="Days to keep artifacts.")
    ] = 180

    @property
    def secrets_prefix(self) -> str:
        """The prefix of the names of the secrets that a release build may read, besides the Docker one."""
        return f"exasol-ci-setup/{self.project}/"
