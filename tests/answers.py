"""An AWS account whose every call is answered by the test, below botocore's checks, retries and parsers and above the network."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from io import BytesIO
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias
from xml.etree import ElementTree as ET

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError, UnknownServiceError
from botocore.model import ListShape, MapShape, StructureShape
from botocore.validate import ParamValidator

from exasol_ci_setup.aws.session import connect

if TYPE_CHECKING:
    from pathlib import Path

    from botocore.model import OperationModel, Shape

    from exasol_ci_setup.core.clock import Clock

REGION: Final = "eu-central-1"
ACCOUNT_ID: Final = "123456789012"
_REQUEST_ID: Final = "00000000-0000-4000-8000-000000000000"

# Parsing the service models is most of the cost of a client, so all tests share them.
_MODELS: Final = botocore.session.Session()


class Call(NamedTuple):
    """One request that was sent: a retried call is listed once for each attempt."""

    service: str
    operation: str
    params: Mapping[str, Any]


class AwsError(Exception):
    """An error as the service sends it, such as ``AwsError("Throttling", "Rate exceeded")``; can be passed or raised."""

    def __init__(self, code: str, message: str = "", *, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class DroppedConnectionError(Exception):
    """A connection that is lost before the response; botocore raises ConnectionClosedError after its retries."""


Reply: TypeAlias = Mapping[str, Any] | BaseException | type[BaseException] | Callable[[Mapping[str, Any]], Any]
"""What the operation returns, an error, or a function from the call's parameters to one of the two.

AwsError and DroppedConnectionError become what a service and a network do; any other exception is raised as it is.
"""


@dataclass
class _Script:
    replies: Sequence[Reply]
    repeats: bool
    used: int = 0


class Answers:
    """Answer the calls of `account` with the replies passed to `on`. A call without a reply fails the test.

    `calls` holds what was sent. `retry_pauses` holds the seconds that botocore would have slept between its attempts; with
    a `clock` they pass on that. `disturb` is called first for each request and can return an error in place of the reply, which
    is then left for the next attempt. `skew` is added to the time that answers carry in their Date header.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, clock: Clock | None = None, region: str = REGION) -> None:
        self.calls: list[Call] = []
        self.retry_pauses: list[float] = []
        self.disturb: Callable[[Call], Reply | None] = lambda _call: None
        self.skew = timedelta()
        self._clock = clock
        self._scripts: dict[tuple[str, str], _Script] = {}
        self._lock = threading.RLock()
        self._current = threading.local()
        self.account = connect(region=region, access_key=("AKIDEXAMPLE", "dummy"))
        events: Any = self.account.session.events
        events.register("before-parameter-build", self._note_params)
        events.register("request-created", self._note_request)
        events.register("before-send", self._answer)
        # The endpoint sleeps between attempts; botocore does everything else.
        monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=self._pause))

    def on(
        self, service: str, operation: str, reply: Reply | Sequence[Reply], *, repeat_last: bool | None = None
    ) -> None:
        """Answer `operation` of `service` (botocore's names, ``DescribeStacks``) with `reply`, in place of previous replies.

        A list has one reply for each request; with `repeat_last` its last reply is repeated. A single reply is repeated.
        """
        model = _operation(service, operation)
        several = isinstance(reply, Sequence)
        replies: Sequence[Reply] = list(reply) if isinstance(reply, Sequence) else [reply]
        for one in replies:
            if isinstance(one, Mapping):
                _check(model, one)
        repeats = not several if repeat_last is None else repeat_last
        self._scripts[service, operation] = _Script(replies, repeats)

    def names(self) -> list[str]:
        """Return the operations that were called, in order."""
        return [call.operation for call in self.calls]

    def of(self, operation: str) -> list[Mapping[str, Any]]:
        """Return the parameters of every request of `operation`, in order."""
        return [call.params for call in self.calls if call.operation == operation]

    def _note_params(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["answers.params"] = dict(params)

    def _note_request(self, request: Any, operation_name: str, event_name: str, **_: Any) -> None:
        self._current.params = request.context.get("answers.params", {})
        self._current.operation = operation_name
        self._current.service_id = event_name.split(".")[1]

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        service, operation = _service_name(self._current.service_id), self._current.operation
        call = Call(service, operation, self._current.params)
        model = _operation(service, operation)
        with self._lock:
            self.calls.append(call)
            reply = self.disturb(call)
            if reply is None:
                reply = self._next_reply(call)
            # With the lock, so that replies of parallel calls can share state.
            if callable(reply) and not isinstance(reply, type):
                try:
                    reply = reply(call.params)
                except (AwsError, DroppedConnectionError) as error:
                    reply = error
        if isinstance(reply, type) and issubclass(reply, BaseException):
            reply = reply()
        if isinstance(reply, DroppedConnectionError):
            raise ConnectionClosedError(endpoint_url=request.url, error=reply)
        if isinstance(reply, AwsError):
            return self._response(request, reply.status, {}, _error_body(model, reply))
        if isinstance(reply, BaseException):
            raise reply
        if not isinstance(reply, Mapping):
            pytest.fail(f"the reply to {service} {operation} is {reply!r}: neither a mapping nor an error")
        _check(model, reply)
        return self._response(request, *_serialized(model, reply))

    def _next_reply(self, call: Call) -> Reply:
        script = self._scripts.get((call.service, call.operation))
        if script is None:
            pytest.fail(f"no reply for {call.service} {call.operation} with {dict(call.params)!r}")
        at = script.used
        script.used += 1
        if at >= len(script.replies):
            if not script.repeats or not script.replies:
                pytest.fail(
                    f"all {len(script.replies)} answers to {call.service} {call.operation} are used up, "
                    f"and it is called again with {dict(call.params)!r}"
                )
            at = -1
        return script.replies[at]

    def _response(self, request: Any, status: int, headers: Mapping[str, str], body: bytes) -> AWSResponse:
        now = datetime.now(timezone.utc) + self.skew
        fixed = {"Date": format_datetime(now, usegmt=True), "x-amzn-RequestId": _REQUEST_ID}
        everything: Any = {**fixed, **headers}
        return AWSResponse(request.url, status, everything, _Raw(body))

    def _pause(self, seconds: float) -> None:
        self.retry_pauses.append(seconds)
        if self._clock is not None:
            self._clock.sleep(seconds)


class VirtualClock:
    """A virtual clock: `sleep` advances it immediately, and runs the callbacks that `at` planned in that period."""

    def __init__(self, start: float = 1000.0) -> None:
        self.sleeps: list[float] = []
        self._now = start
        self._start = start
        self._planned: list[tuple[float, int, Callable[[], object]]] = []

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._now - self._start

    def now(self) -> float:
        """Return the time in seconds from an arbitrary start."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Advance the clock by `seconds`, and run the callbacks in this period. An exception of a callback ends the sleep at its time."""
        self.sleeps.append(seconds)
        end = self._now + seconds
        while self._planned and self._planned[0][0] <= end:
            when, _, callback = self._planned.pop(0)
            self._now = max(self._now, when)
            callback()
        self._now = max(self._now, end)

    def at(self, seconds: float, callback: Callable[[], object]) -> None:
        """Run `callback` when `seconds` have passed since the start."""
        self._planned.append((self._start + seconds, len(self._planned), callback))
        self._planned.sort(key=lambda planned: planned[:2])


def keep_away_from_aws(monkeypatch: pytest.MonkeyPatch, empty: Path) -> None:
    """Set the environment so that no AWS configuration, credentials or instance metadata is found. `empty` is a directory."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "EXASOL_CI_SETUP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(empty / "no-aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(empty / "no-aws-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


class _Raw(BytesIO):
    """A response body like that of urllib3."""

    def stream(self, **_: Any) -> Any:
        """Yield the whole body."""
        yield self.read()


_OPERATIONS: dict[tuple[str, str], OperationModel] = {}
_SERVICES: dict[str, str] = {}


def _operation(service: str, operation: str) -> OperationModel:
    if (service, operation) not in _OPERATIONS:
        try:
            model = _MODELS.get_service_model(service)
        except UnknownServiceError:
            pytest.fail(f"botocore knows no service {service!r}")
        if operation not in model.operation_names:
            pytest.fail(f"{service} has no operation {operation!r}")
        _OPERATIONS[service, operation] = model.operation_model(operation)
        _SERVICES[model.service_id.hyphenize()] = service
    return _OPERATIONS[service, operation]


def _service_name(service_id: str) -> str:
    # If no reply of this service was ever set: the names differ in hyphens only.
    return _SERVICES.get(service_id, service_id.replace("-", ""))


def _check(model: OperationModel, reply: Mapping[str, Any]) -> None:
    """Fail the test if the reply does not match AWS's model: an unknown name, a missing one, or a wrong type."""
    where = f"the reply to {model.service_model.service_name} {model.name}"
    if model.output_shape is None:
        if reply:
            pytest.fail(f"{where} must be empty: the operation returns nothing")
        return
    report = ParamValidator().validate(reply, model.output_shape)
    # AWS ignores lengths: an empty account lists no CodeBuild projects, although the model requires one.
    if [kind for kind, _, _ in report._errors if kind not in {"invalid length", "invalid range"}]:
        pytest.fail(f"{where} is none that AWS could give: {report.generate_report()}")


def _error_body(model: OperationModel, error: AwsError) -> bytes:
    protocol = model.service_model.resolved_protocol
    if protocol in {"json", "rest-json"}:
        return json.dumps({"__type": error.code, "message": error.message}).encode()
    root = ET.Element("Error" if protocol == "rest-xml" else "ErrorResponse")
    holder = root if protocol == "rest-xml" else ET.SubElement(root, "Error")
    for name, text in (("Type", "Sender"), ("Code", error.code), ("Message", error.message)):
        ET.SubElement(holder, name).text = text
    ET.SubElement(root, "RequestId").text = _REQUEST_ID
    return _document(root)


def _serialized(model: OperationModel, reply: Mapping[str, Any]) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of a successful answer."""
    protocol = model.service_model.resolved_protocol
    shape = model.output_shape
    # Members in headers are omitted.
    if protocol in {"json", "rest-json"}:
        return 200, {}, json.dumps(_json(reply, shape) if shape else {}).encode()
    if protocol == "query":
        root = ET.Element(f"{model.name}Response")
        if shape is not None:
            wrapper = shape.serialization.get("resultWrapper")
            _write_members(ET.SubElement(root, wrapper) if wrapper else root, reply, shape)
        ET.SubElement(ET.SubElement(root, "ResponseMetadata"), "RequestId").text = _REQUEST_ID
        return 200, {}, _document(root)
    if protocol == "ec2":
        root = ET.Element(f"{model.name}Response")
        ET.SubElement(root, "requestId").text = _REQUEST_ID
        if shape is not None:
            _write_members(root, reply, shape)
        return 200, {}, _document(root)
    if protocol == "rest-xml":
        return _rest_xml(model, reply)
    raise NotImplementedError(f"answers in the protocol {protocol} of {model.service_model.service_name}")


def _rest_xml(model: OperationModel, reply: Mapping[str, Any]) -> tuple[int, dict[str, str], bytes]:
    shape = model.output_shape
    if shape is None:
        return 200, {}, b""
    status, headers, in_body = 200, {}, {}
    for name, value in reply.items():
        member = shape.members[name]
        location = member.serialization.get("location")
        if location == "statusCode":
            status = int(value)
        elif location == "header":
            headers[member.serialization["name"]] = _text(value, member, timestamps="rfc822")
        elif location == "headers":
            headers |= {member.serialization["name"] + key: text for key, text in value.items()}
        else:
            in_body[name] = value
    payload = shape.serialization.get("payload")
    if payload is None:
        root = ET.Element(shape.serialization.get("name", shape.name))
        _write_members(root, in_body, shape)
    elif payload not in in_body:
        return status, headers, b""
    elif shape.members[payload].type_name != "structure":
        value = in_body[payload]
        value = value.read() if hasattr(value, "read") else value
        return status, headers, value.encode() if isinstance(value, str) else bytes(value)
    else:
        root = ET.Element(shape.members[payload].serialization.get("name", payload))
        _write_members(root, in_body[payload], shape.members[payload])
    return status, headers, _document(root)


def _document(root: ET.Element) -> bytes:
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _write_members(parent: ET.Element, values: Mapping[str, Any], shape: Shape) -> None:
    assert isinstance(shape, StructureShape)
    for name, value in values.items():
        member = shape.members[name]
        _write(parent, member.serialization.get("name", name), value, member)


def _write(parent: ET.Element, name: str, value: Any, shape: Shape) -> None:
    if isinstance(shape, StructureShape):
        _write_members(ET.SubElement(parent, name), value, shape)
    elif isinstance(shape, ListShape):
        flat = shape.serialization.get("flattened", False)
        inner = shape.member.serialization.get("name", "member" if not flat else name)
        holder = parent if flat else ET.SubElement(parent, name)
        for item in value:
            _write(holder, inner, item, shape.member)
    elif isinstance(shape, MapShape):
        flat = shape.serialization.get("flattened", False)
        holder = parent if flat else ET.SubElement(parent, name)
        for key, item in value.items():
            entry = ET.SubElement(holder, name if flat else "entry")
            _write(entry, shape.key.serialization.get("name", "key"), key, shape.key)
            _write(entry, shape.value.serialization.get("name", "value"), item, shape.value)
    else:
        ET.SubElement(parent, name).text = _text(value, shape, timestamps="iso8601")


def _text(value: Any, shape: Shape, *, timestamps: str) -> str:
    if shape.type_name == "timestamp":
        moment = _moment(value)
        style = shape.serialization.get("timestampFormat", timestamps)
        if style == "rfc822":
            return format_datetime(moment, usegmt=True)
        return str(moment.timestamp()) if style == "unixTimestamp" else moment.isoformat().replace("+00:00", "Z")
    if shape.type_name == "boolean":
        return "true" if value else "false"
    if shape.type_name == "blob":
        return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()
    return str(value)


def _json(value: Any, shape: Shape) -> Any:
    if isinstance(shape, StructureShape):
        return {
            shape.members[name].serialization.get("name", name): _json(item, shape.members[name])
            for name, item in value.items()
        }
    if isinstance(shape, ListShape):
        return [_json(item, shape.member) for item in value]
    if isinstance(shape, MapShape):
        return {key: _json(item, shape.value) for key, item in value.items()}
    if shape.type_name == "timestamp":
        return _moment(value).timestamp()
    if shape.type_name == "blob":
        return _text(value, shape, timestamps="")
    return value


def _moment(value: Any) -> datetime:
    """Return a time in UTC; a time without a zone is in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc) if value.tzinfo else value.replace(tzinfo=timezone.utc)
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, timezone.utc)
    return datetime.fromisoformat(str(value).replace("Z", "+00:00")).astimezone(timezone.utc)
