"""The CodeBuild projects of one repository: one tests each push, the other builds releases."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, Field

from exasol_ci_setup.constructs.base import Construct
from exasol_ci_setup.constructs.values import SecretArn, SecretName, between, matching, refusal
from exasol_ci_setup.core.tags import TAG_PREFIX

DEFAULT_BRANCH_FILTER: Final = (
    "^refs/heads/(((main|master|develop)$)"
    "|((rebuild|feature|bug|enhancement|refactoring|ci|security|doc|documentation)/.*))"
)
"""Pushes to the main branches and to the prefixes of work branches start a build."""

DEFAULT_IMAGE: Final = "aws/codebuild/standard:8.0"
"""The newest Ubuntu image (24.04) that AWS maintains and lists in CodeBuild's console:
https://github.com/aws/aws-codebuild-docker-images."""

DEFAULT_BATCH_LIMIT: Final = 100
"""The maximum number of builds in one batch. CodeBuild enforces it as the project's ``BatchRestrictions.MaximumBuildsAllowed``: a batch
with more fails. AWS's page of quotas (https://docs.aws.amazon.com/codebuild/latest/userguide/limits.html) has no number for it;
100 is the restriction of the projects in AWS's examples
(https://docs.aws.amazon.com/cli/latest/reference/codebuild/start-build-batch.html)."""

ComputeType = Literal[
    "BUILD_GENERAL1_SMALL",
    "BUILD_GENERAL1_MEDIUM",
    "BUILD_GENERAL1_LARGE",
    "BUILD_GENERAL1_XLARGE",
    "BUILD_GENERAL1_2XLARGE",
]
"""The sizes of a privileged Linux container; the Lambda compute types cannot run Docker:
https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-compute-types.html."""

RetentionInDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
]
"""The values that CloudWatch Logs accepts:
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html."""

Cache = Literal["none", "docker", "source", "s3"]
"""The cache of a build: none, Docker layers or Git data on the build host, or files in the artifacts bucket."""

_CONNECTION_VERBS: Final = ("GetConnection", "GetConnectionToken", "UseConnection")

_REPOSITORY_RULE: Final = (
    "use the https URL of a repository on github.com, without user, query or fragment,"
    " such as https://github.com/exasol/script-languages-release"
)
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

RepositoryUrl = Annotated[
    str,
    matching(
        r"https://github\.com/[A-Za-z0-9](?:[A-Za-z0-9_-]{0,37}[A-Za-z0-9_])?/(?!\.{1,2}(?:\.git)?/?\Z)(?!\.git/?\Z)[A-Za-z0-9._-]{1,100}/?",
        _REPOSITORY_RULE,
    ),
    # The browser's address of a repository can end in a slash.
    AfterValidator(lambda url: url.removesuffix("/")),
]

Image = Annotated[
    str,
    matching(
        r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,511}", "use the name of a Docker image, such as aws/codebuild/standard:8.0"
    ),
]

BranchFilter = Annotated[
    str, matching(r".+", "use a regular expression for the full name of the branch, such as ^refs/heads/main$")
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


class _Build(Construct):
    """A CodeBuild project that runs batches, with its bucket, roles and log group. Times are in minutes or days."""

    suffix: ClassVar[str]
    stack_suffix: ClassVar[str]

    project: Annotated[
        ProjectName, Field(description="Name of the project; the names of the stack and its resources derive from it.")
    ]
    project_url: Annotated[RepositoryUrl, Field(description="URL of the repository: https://github.com/OWNER/REPO")]
    codebuild: Annotated[
        CodebuildName | None,
        Field(alias="codebuild_name", description="Name of the CodeBuild project, after which its log group is named."),
    ] = None
    bucket_name: Annotated[
        BucketName | None, Field(description="Name of the artifacts bucket. Default: generated by CloudFormation.")
    ] = None
    image: Annotated[Image, Field(description="Docker image of the builds.")] = DEFAULT_IMAGE
    compute_type: Annotated[ComputeType, Field(description="Size of the build host.")] = "BUILD_GENERAL1_SMALL"
    timeout_in_minutes: Annotated[Minutes, Field(description="Time limit of one build.")] = 240
    batch_timeout_in_minutes: Annotated[Minutes, Field(description="Time limit of a batch.")] = 240
    log_retention_in_days: Annotated[RetentionInDays, Field(description="Days to keep logs.")]
    artifact_retention_in_days: Annotated[int, between(1, 36_500, "days"), Field(description="Days to keep artifacts.")]
    docker_secret: Annotated[
        SecretName, Field(description="Name or ARN of the secret with the Docker Hub keys User and AccessToken.")
    ] = "Dockerhub"  # noqa: S105 - the name of a secret, not a secret
    docker_secret_arn: Annotated[
        SecretArn | None, Field(description="Full ARN of that secret. Default: looked up before a deployment.")
    ] = None
    auto_retry_limit: Annotated[
        int, between(0, 10, "retries"), Field(description="How often AWS retries a failed build.")
    ] = 0
    cache: Annotated[Cache, Field(description="What builds cache for later builds.")] = "none"
    connection_arn: Annotated[
        ConnectionArn | None,
        Field(description="CodeConnections connection to GitHub. Default: the token of the source-credentials stack."),
    ] = None
    # AWS documents no maximum; this one detects a typing error.
    batch_limit: Annotated[
        int, between(1, 1000, "builds in one batch"), Field(description="Maximum builds in a batch.")
    ] = DEFAULT_BATCH_LIMIT

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
        return self.model_copy(
            update={
                "project": "Project",
                "project_url": "https://github.com/owner/repository",
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

    branch_filter: Annotated[
        BranchFilter,
        Field(
            description="Pushes to matching branches start a build. Default: main, master, develop and the usual prefixes."
        ),
    ] = DEFAULT_BRANCH_FILTER
    log_retention_in_days: Annotated[RetentionInDays, Field(description="Days to keep logs.")] = 14
    artifact_retention_in_days: Annotated[
        int, between(1, 36_500, "days"), Field(description="Days to keep artifacts.")
    ] = 30


class ReleaseBuild(_Build):
    """Builds the repository's release artifacts when `start-release-build` requests it; it has no other trigger."""

    template: ClassVar[str] = "release_build.yaml.j2"
    suffix: ClassVar[str] = "ReleaseCodeBuild"
    stack_suffix: ClassVar[str] = "Release"

    log_retention_in_days: Annotated[RetentionInDays, Field(description="Days to keep logs.")] = 180
    artifact_retention_in_days: Annotated[
        int, between(1, 36_500, "days"), Field(description="Days to keep artifacts.")
    ] = 180

    @property
    def secrets_prefix(self) -> str:
        """The prefix of the names of the secrets that a release build may read, besides the Docker one."""
        return f"exasol-ci-setup/{self.project}/"
