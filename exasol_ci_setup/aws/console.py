"""Addresses in AWS's console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from botocore.client import BaseClient

_HOSTS: Final = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}
_PARTS_OF_ARN: Final = 6


def of_batch(codebuild: BaseClient, arn: str, project: str, batch_id: str) -> str:
    """Return the address of a batch of builds; empty for an endpoint that has no console."""
    host, region, account = _place(codebuild, arn)
    path = f"codesuite/codebuild/{account}/projects/{quote(project)}/batch/{quote(batch_id, safe='')}?region={region}"
    return f"https://{host}/{path}" if host else ""


def of_stack(cfn: BaseClient, arn: str) -> str:
    """Return the address of the events of a stack; empty for an endpoint that has no console."""
    host, region, _ = _place(cfn, arn)
    return (
        f"https://{host}/cloudformation/home?region={region}#/stacks/events?stackId={quote(arn, safe='')}"
        if host
        else ""
    )


def _place(client: BaseClient, arn: str) -> tuple[str, str, str]:
    """Return the host of the console, the region and the account of an ARN; empty for an endpoint that has no console."""
    endpoint = urlsplit(client.meta.endpoint_url).hostname or ""
    parts = arn.split(":")
    if not endpoint.endswith((".amazonaws.com", ".amazonaws.com.cn")) or len(parts) < _PARTS_OF_ARN:
        return "", "", ""
    _, partition, _, region, account = parts[:5]
    return f"{region}.{_HOSTS.get(partition, _HOSTS['aws'])}", region, account
