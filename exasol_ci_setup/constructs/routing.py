"""How traffic reaches a service behind a load balancer, and how many tasks of a service run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from exasol_ci_setup.constructs.values import Value, between, matching, refusal

if TYPE_CHECKING:
    from typing_extensions import Self

HealthPath = Annotated[
    str, matching(r"/[!-~]{0,1023}", "use a path that begins with /, without blanks, at most 1024 characters")
]
SuccessCodes = Annotated[
    str,
    matching(
        r"[2-4][0-9]{2}((,[2-4][0-9]{2})*|-[2-4][0-9]{2})",
        "use HTTP status codes from 200 to 499, such as 200, 200,302 or 200-399",
    ),
]
RoutePath = Annotated[
    str,
    matching(
        # A load balancer accepts 128 characters with "/*" at the end, and * and ? are wildcards:
        # https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_PathPatternConditionConfig.html.
        r"/|(?=.{1,126}\Z)(/[A-Za-z0-9_.$~\"'@:+-]+){1,9}",
        "use a path such as /v1, of at most 9 parts and 126 characters, without * and ? and without a slash at the end",
    ),
]


class HealthCheck(Value):
    """The request by which a load balancer checks each task. Times are in seconds.

    Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html.
    """

    path: Annotated[HealthPath, Field(description="Path of the request.")] = "/"
    interval: Annotated[int, between(5, 300, "seconds"), Field(description="Seconds between two requests.")] = 15
    timeout: Annotated[int, between(2, 120, "seconds"), Field(description="Seconds to wait for a response.")] = 5
    healthy_threshold: Annotated[
        int, between(2, 10, "responses"), Field(description="Successful responses that make a task healthy.")
    ] = 2
    unhealthy_threshold: Annotated[
        int, between(2, 10, "responses"), Field(description="Failed responses that make a task unhealthy.")
    ] = 3
    success_codes: Annotated[SuccessCodes, Field(description="Status codes of a successful response.")] = "200-399"
    grace_period: Annotated[
        int,
        between(0, 2_147_483_647, "seconds"),
        Field(description="Seconds after the start of a task in which failures do not count."),
    ] = 60

    @model_validator(mode="after")
    def _ends_before_next(self) -> Self:
        if self.timeout >= self.interval:
            raise refusal("the timeout of a health check must be shorter than its interval")
        return self


class Scaling(Value):
    """The number of tasks by their load. At least one target is needed; with several, the highest number applies.

    Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-autoscaling-targettracking.html.
    """

    min_count: Annotated[int, between(0, 1000, "tasks"), Field(description="Least number of tasks.")]
    max_count: Annotated[int, between(1, 1000, "tasks"), Field(description="Greatest number of tasks.")]
    cpu_percentage: Annotated[
        Annotated[int, between(1, 100, "percent")] | None,
        Field(description="Average use of CPU in percent. Default: not a target."),
    ] = None
    memory_percentage: Annotated[
        Annotated[int, between(1, 100, "percent")] | None,
        Field(description="Average use of memory in percent. Default: not a target."),
    ] = None
    requests: Annotated[
        Annotated[int, between(1, 1_000_000, "requests")] | None,
        Field(description="Requests of the load balancer to each task in a minute. Default: not a target."),
    ] = None

    @model_validator(mode="after")
    def _has_targets(self) -> Self:
        if self.min_count > self.max_count:
            raise refusal("min_count must not be above max_count")
        if not self.targets:
            raise refusal("use at least one of cpu_percentage, memory_percentage and requests")
        return self

    @property
    def targets(self) -> tuple[tuple[str, str, int], ...]:
        """A name, the predefined metric and the value of each target."""
        values = (
            ("Cpu", "ECSServiceAverageCPUUtilization", self.cpu_percentage),
            ("Memory", "ECSServiceAverageMemoryUtilization", self.memory_percentage),
            ("Requests", "ALBRequestCountPerTarget", self.requests),
        )
        return tuple((name, metric, value) for name, metric, value in values if value is not None)
