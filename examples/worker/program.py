"""A worker: it receives messages of a queue and stores the results in a bucket. A task deletes old results each night."""

from __future__ import annotations

from pathlib import Path

from exasol_ci_setup import (
    Asset,
    BuildkitBuilder,
    Cluster,
    Container,
    ContainerBuilder,
    LocalDirectory,
    PolicyStatement,
    Registry,
    Scaling,
    Scope,
    Service,
    Stack,
)

HERE = Path(__file__).parent
SCOPE = Scope(name="jobs", region="eu-central-1", tags={"team": "data"})


def hangar_run() -> None:
    """Deploy queue, bucket, worker and nightly task."""
    data = Stack(scope=SCOPE, name="data", template="data.yaml")
    queue, bucket = data.QueueArn, data.BucketArn
    image = ContainerBuilder(
        name="image",
        asset=Asset(scope=SCOPE, name="source", source=LocalDirectory(scope=SCOPE, name="job", path=HERE / "job")),
        builder=BuildkitBuilder(scope=SCOPE, name="host"),
        registry=Registry(scope=SCOPE, name="images", kept_images=50),
    )
    worker = Service(
        name="worker",
        container=Container(source=image, start_command="work"),
        env_vars={"QUEUE_URL": data.QueueUrl, "BUCKET": data.BucketName},
        task_role_policy=[
            PolicyStatement(
                actions=["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"], resources=[queue]
            ),
            PolicyStatement(actions=["s3:PutObject"], resources=[f"{bucket}/*"]),
        ],
        # A message that a stopped task has received returns to the queue.
        spot=True,
        scaling=Scaling(min_count=1, max_count=10, cpu_percentage=70),
    )
    nightly = Service(
        name="nightly",
        container=Container(source=image, start_command="clean-up"),
        env_vars={"BUCKET": data.BucketName},
        task_role_policy=[
            PolicyStatement(actions=["s3:ListBucket"], resources=[bucket]),
            PolicyStatement(actions=["s3:DeleteObject"], resources=[f"{bucket}/*"]),
        ],
        schedule="cron(0 3 * * ? *)",
    )
    Cluster(scope=SCOPE, name="workers", services=[worker, nightly]).deploy()
