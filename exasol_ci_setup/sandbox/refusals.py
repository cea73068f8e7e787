"""Reject properties of resources that AWS rejects and ministack accepts."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.sandbox.private import resource_handlers, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exasol_ci_setup.sandbox.private import Values

# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_AwsVpcConfiguration.html
_MOST_OF_TASK: Final = {"SecurityGroups": 5, "Subnets": 16}
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html
_LOG_GROUP: Final = re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")
# The names that EC2 accepts for protocols: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
_PROTOCOLS: Final = {"icmp": "1", "tcp": "6", "udp": "17", "icmpv6": "58"}


def extend() -> None:
    """Check these properties when CloudFormation creates or updates a resource."""
    for kind, problem in (
        ("AWS::ECS::Service", service_problem),
        ("AWS::EC2::SecurityGroup", group_problem),
        ("AWS::Logs::LogGroup", log_group_problem),
    ):
        _check(kind, problem)


def extend_logs() -> None:
    """Check the name of a log group in the API."""
    from ministack.core.responses import error_response_json
    from ministack.services import cloudwatch_logs

    def create(inner: Callable[[Values], Any], request: Values) -> Any:
        problem = log_group_problem({"LogGroupName": request.get("logGroupName", "")})
        return error_response_json("InvalidParameterException", problem, 400) if problem else inner(request)

    wrap(cloudwatch_logs, "_create_log_group", create)


def _check(kind: str, problem: Callable[[Mapping[str, Any]], str]) -> None:
    def create(inner: Callable[..., Any], logical_id: str, properties: Values, *more: Any) -> Any:
        _refuse(problem(properties))
        return inner(logical_id, properties, *more)

    def update(inner: Callable[..., Any], physical_id: str, old: Values, new: Values, *more: Any) -> Any:
        _refuse(problem(new))
        return inner(physical_id, old, new, *more)

    wrap(resource_handlers()[kind], "create", create)
    if "update" in resource_handlers()[kind]:
        wrap(resource_handlers()[kind], "update", update)


def _refuse(problem: str) -> None:
    if problem:
        raise ValueError(problem)


def service_problem(properties: Mapping[str, Any]) -> str:
    """Return the message of ECS about the network of a service; empty if it is valid."""
    network = (properties.get("NetworkConfiguration") or {}).get("AwsvpcConfiguration") or {}
    for name, most in _MOST_OF_TASK.items():
        if len(network.get(name) or ()) > most:
            member = name[0].lower() + name[1:]
            return _refusal("AmazonECS", "InvalidParameterException", f"{member} can have at most {most} items.")
    return ""


def group_problem(properties: Mapping[str, Any]) -> str:
    """Return the message of EC2 about equal rules of a security group; empty if there are no equal ones."""
    for name in ("SecurityGroupIngress", "SecurityGroupEgress"):
        rules = [_rule(rule) for rule in properties.get(name) or ()]
        if len(set(rules)) < len(rules):
            return _refusal("Ec2", "InvalidParameterValue", "The same permission must not appear multiple times")
    return ""


def _rule(rule: Mapping[str, Any]) -> str:
    """Return a rule as EC2 compares it: the protocol by number, addresses in one form, and no description."""
    protocol = str(rule.get("IpProtocol", "")).lower()
    same = {key: str(value) for key, value in rule.items() if key not in {"Description", "IpProtocol"}}
    for key in same.keys() & {"CidrIp", "CidrIpv6"}:
        same[key] = str(ipaddress.ip_network(same[key], strict=False))
    return json.dumps({**same, "IpProtocol": _PROTOCOLS.get(protocol, protocol)}, sort_keys=True)


def log_group_problem(properties: Mapping[str, Any]) -> str:
    """Return the message of CloudWatch Logs about the name of a log group; empty if it is valid or generated."""
    name = properties.get("LogGroupName")
    if name is None or _LOG_GROUP.fullmatch(str(name)):
        return ""
    return (
        f"1 validation error detected: Value '{name}' at 'logGroupName' failed to satisfy constraint: Member must satisfy "
        "regular expression pattern: [\\.\\-_/#A-Za-z0-9]+"
    )


def _refusal(service: str, code: str, message: str) -> str:
    return f"{message} (Service: {service}, Status Code: 400, Error Code: {code})"
