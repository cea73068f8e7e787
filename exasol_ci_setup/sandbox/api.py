"""Add operations to ministack's services with a JSON API."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from importlib import import_module
from typing import TYPE_CHECKING, Any

from exasol_ci_setup.sandbox.private import wrap

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from exasol_ci_setup.sandbox.private import Reply, Values


class ApiError(Exception):
    """An error response of the API: its code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def of_call(self, operation: str) -> ValueError:
        """Return the exception that makes this error of CodeBuild the reason of a stack event."""
        return ValueError(
            f"Failed to call {operation}, reason: {self.message} (Service: AWSCodeBuild; Status Code: 400; "
            f"Error Code: {self.code}; Request ID: {uuid.uuid4()}; Proxy: null)"
        )


def install(name: str, *services: Any, is_used: Callable[[], bool] = lambda: True, in_thread: bool = False) -> None:
    """Let the methods of `services` perform the operations of a service of ministack: `create_project` is CreateProject.

    `is_used` decides for each request. With `in_thread`, other requests do not wait for an operation.
    """
    from ministack.core import responses

    methods = {
        operation: getattr(service, method)
        for operation in responses._service_model(name).operation_names  # noqa: SLF001
        for service in services
        if hasattr(service, method := re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower())
    }

    async def handle(
        inner: Callable[..., Awaitable[Reply]],
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        query: Any,
    ) -> Reply:
        operation = methods.get(headers.get("x-amz-target", "").rpartition(".")[2])
        if operation is None or not is_used():
            return await inner(method, path, headers, body, query)
        request = json.loads(body or b"{}")
        try:
            answer = await asyncio.to_thread(operation, request) if in_thread else operation(request)
            reply: Reply = responses.json_response(answer)
        except ApiError as error:
            reply = responses.error_response_json(error.code, error.message)
        return reply

    wrap(import_module(f"ministack.services.{name}"), "handle_request", handle)


def page(name: str, entries: Sequence[Any], request: Values, *, error_code: str, most: int = 100) -> Values:
    """Return a page of `entries` as the member `name`. A page has 100 by default, and at most `most`."""
    size = min(int(request.get("maxResults") or 100), most)
    try:
        start = int(request.get("nextToken") or 0)
    except ValueError:
        raise ApiError(error_code, f"Invalid nextToken: {request['nextToken']}") from None
    following = {"nextToken": str(start + size)} if start + size < len(entries) else {}
    return {name: entries[start : start + size], **following}
