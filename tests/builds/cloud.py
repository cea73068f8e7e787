"""A batch on CodeBuild with builds in virtual time, answered inside botocore."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from tests.answers import AwsError

if TYPE_CHECKING:
    from tests.answers import Answers, VirtualClock

BEGIN = datetime(2026, 5, 4, 3, 0, tzinfo=timezone.utc)
ID = "SlcCodeBuild:11111111-2222-3333-4444-555555555555"
ARN = f"arn:aws:codebuild:eu-central-1:123456789012:build-batch/{ID}"
STACK = "arn:aws:cloudformation:eu-central-1:123456789012:stack/Slc/11111111-2222-3333-4444-555555555555"
RESOURCE = {
    "LogicalResourceId": "CodeBuild",
    "ResourceType": "AWS::CodeBuild::Project",
    "PhysicalResourceId": "SlcCodeBuild",
    "ResourceStatus": "CREATE_COMPLETE",
    "LastUpdatedTimestamp": BEGIN,
}


SOURCE = {"type": "GITHUB", "location": "https://github.com/exasol/s.l"}


def described(params: Any) -> Any:
    """Answer DescribeStacks with a stack of project Slc."""
    name = params["StackName"]
    tags = {"construct": "ReleaseBuild" if name.endswith("Release") else "CiBuild", "project": "Slc"}
    return {
        "Stacks": [
            {
                "StackName": name,
                "StackStatus": "CREATE_COMPLETE",
                "CreationTime": BEGIN,
                "Tags": [{"Key": f"exasol-ci-setup:{key}", "Value": value} for key, value in tags.items()],
            }
        ]
    }


@dataclass
class Job:
    """A build of the batch, with a log line every ten seconds. Times are in seconds after the start of the batch.

    The last line of its log can be read only `late` seconds after its end.
    """

    group: str
    begins: float = 2
    ends: float = 60
    status: str = "SUCCEEDED"
    message: str = ""
    ignore_failure: bool = False
    lines: list[str] = field(default_factory=list)
    late: float = 0

    @property
    def id(self) -> str:
        """The ID, which contains the name of the group."""
        return f"SlcCodeBuild:{self.group}"


class Cloud:
    """The replies of CodeBuild for one batch. It ends with `status` after `ends` seconds; without `ends` it never ends."""

    def __init__(
        self,
        answers: Answers,
        clock: VirtualClock,
        *jobs: Job,
        status: str = "SUCCEEDED",
        ends: float | None = 62,
        variables: list[dict[str, str]] | None = None,
        phases: list[dict[str, Any]] | None = None,
    ) -> None:
        self.answers, self.clock, self.jobs = answers, clock, jobs
        self.status, self.ends, self.variables, self.phases = status, ends, variables or [], phases or []
        answers.on("cloudformation", "DescribeStacks", described)
        answers.on("cloudformation", "ListStackResources", {"StackResourceSummaries": [RESOURCE]})
        answers.on("codebuild", "BatchGetProjects", {"projects": [{"name": "SlcCodeBuild", "source": SOURCE}]})
        answers.on("codebuild", "StartBuildBatch", self.start)
        answers.on("codebuild", "BatchGetBuildBatches", self.batches)
        answers.on("codebuild", "BatchGetBuilds", self.builds)
        answers.on("logs", "GetLogEvents", self.log)

    @property
    def has_ended(self) -> bool:
        """Whether the batch has ended."""
        return self.ends is not None and self.clock.elapsed >= self.ends

    def start(self, params: Any) -> Any:
        """StartBuildBatch."""
        self.variables = params["environmentVariablesOverride"]
        return {"buildBatch": self.batch()}

    def batches(self, _params: Any) -> Any:
        """BatchGetBuildBatches."""
        # The time in replies is that of the virtual clock.
        self.answers.skew = BEGIN + timedelta(seconds=self.clock.elapsed) - datetime.now(timezone.utc)
        return {"buildBatches": [self.batch()]}

    def batch(self) -> dict[str, Any]:
        """Return the current state of the batch."""
        environment = {"type": "LINUX_CONTAINER", "image": "x", "computeType": "BUILD_GENERAL1_SMALL"}
        return {
            "id": ID,
            "arn": ARN,
            "projectName": "SlcCodeBuild",
            "buildBatchStatus": self.status if self.has_ended else "IN_PROGRESS",
            "currentPhase": "IN_PROGRESS",
            "phases": self.phases if self.has_ended else [],
            "sourceVersion": "master",
            "startTime": BEGIN,
            **({"endTime": BEGIN + timedelta(seconds=self.ends or 0)} if self.has_ended else {}),
            "environment": {**environment, "environmentVariables": self.variables},
            "buildGroups": [self.group(job) for job in self.jobs],
        }

    def group(self, job: Job) -> dict[str, Any]:
        """Return the group of a build."""
        if self.clock.elapsed < job.begins:
            return {"identifier": job.group, "ignoreFailure": job.ignore_failure}
        summary = {"arn": ARN.replace(f"-batch/{ID}", f"/{job.id}"), "buildStatus": self.status_of(job)}
        return {"identifier": job.group, "ignoreFailure": job.ignore_failure, "currentBuildSummary": summary}

    def status_of(self, job: Job) -> str:
        """Return the current status of a build."""
        return job.status if self.clock.elapsed >= job.ends else "IN_PROGRESS"

    def builds(self, params: Any) -> Any:
        """BatchGetBuilds."""
        return {"builds": [self.build(job) for job in self.jobs if job.id in params["ids"]]}

    def build(self, job: Job) -> dict[str, Any]:
        """Return the current state of a build."""
        ended = self.clock.elapsed >= job.ends
        phases: list[dict[str, Any]] = [
            {"phaseType": "INSTALL", "phaseStatus": "SUCCEEDED", "contexts": [{"statusCode": "", "message": ""}]},
            {"phaseType": "BUILD", **({"phaseStatus": job.status} if ended else {})},
        ]
        if ended and job.message:
            phases[1]["contexts"] = [{"statusCode": "COMMAND_EXECUTION_ERROR", "message": job.message}]
        return {
            "id": job.id,
            "arn": f"arn:aws:codebuild:eu-central-1:123456789012:build/{job.id}",
            "buildStatus": self.status_of(job),
            "currentPhase": "COMPLETED" if ended else "BUILD",
            "phases": phases,
            "startTime": BEGIN + timedelta(seconds=job.begins),
            **({"endTime": BEGIN + timedelta(seconds=job.ends)} if ended else {}),
            "logs": {"groupName": "/aws/codebuild/SlcCodeBuild", "streamName": job.group, "deepLink": "https://log"},
            "buildBatchArn": ARN,
        }

    def written(self, job: Job) -> list[str]:
        """Return the lines that a build has written so far."""
        if job.late and self.clock.elapsed >= job.ends:
            return job.lines if self.clock.elapsed >= job.ends + job.late else job.lines[:-1]
        until = min(self.clock.elapsed, job.ends)
        return job.lines[: max(0, int((until - job.begins) // 10))] if until < job.ends else job.lines

    def log(self, params: Any) -> Any:
        """GetLogEvents: two lines a page forwards, and all requested lines backwards."""
        job = next(job for job in self.jobs if job.group == params["logStreamName"])
        lines = self.written(job)
        if not lines:
            return AwsError("ResourceNotFoundException", "The specified log stream does not exist.")
        if not params["startFromHead"]:
            found = [] if "nextToken" in params else lines[-params["limit"] :]
            return {"events": self.events(found), "nextBackwardToken": "b"}
        at = int(params.get("nextToken", "f/0")[2:])
        page = lines[at : at + 2]
        return {"events": self.events(page), "nextForwardToken": f"f/{at + len(page)}"}

    def events(self, lines: list[str]) -> list[dict[str, Any]]:
        """Return lines as CloudWatch does."""
        return [{"timestamp": int(BEGIN.timestamp() * 1000), "message": f"{line}\n"} for line in lines]
