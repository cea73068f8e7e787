"""What is said of an asset when it is made or changed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

from exasol_ci_setup.constructs.values import Value, matching, refusal
from exasol_ci_setup.constructs.workspace import ObjectAddress, ObjectName

Visibility = Literal["private", "public"]

ContentDisposition = Annotated[
    str,
    matching(
        r"(inline|attachment)(; ?[\x20-\x7e]{1,500})?",
        "use inline or attachment, with what goes behind it in ASCII, such as 'attachment; filename=\"report.pdf\"'",
    ),
]
"""Source: https://www.rfc-editor.org/rfc/rfc6266."""

ObjectVersion = Annotated[str, matching(r"[A-Za-z0-9._-]{1,1024}", "use the id of a version of the object")]


def _has_link(name: str) -> str:
    # https://url.spec.whatwg.org/#path-state: the link would lead to another object.
    if {".", ".."} & set(name.split("/")):
        raise refusal("browsers leave out the parts . and .. of a link: put a copy of the object under another name")
    return name


class AssetCreation(ObjectAddress):
    """An object, in its latest version or the one that is named, and how it is handed out."""

    object_name: Annotated[ObjectName, AfterValidator(_has_link)]
    object_version: ObjectVersion | None = None
    visibility: Visibility = "private"
    content_disposition: ContentDisposition = "inline"


class AssetUpdate(Value):
    """What shall be another way; None leaves it."""

    visibility: Visibility | None = None
    content_disposition: ContentDisposition | None = None
