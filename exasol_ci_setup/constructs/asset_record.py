"""What is said of an asset when it is made or changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import model_validator

from exasol_ci_setup.constructs.values import Value, matching, refusal
from exasol_ci_setup.constructs.workspace import ObjectAddress

if TYPE_CHECKING:
    from typing_extensions import Self

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


class AssetCreation(ObjectAddress):
    """An object, in its latest version or the one that is named, and how it is handed out."""

    object_version: ObjectVersion | None = None
    visibility: Visibility = "private"
    content_disposition: ContentDisposition = "inline"

    @model_validator(mode="after")
    def _has_link_that_can_be_followed(self) -> Self:
        # https://url.spec.whatwg.org/#path-state: such a link would lead to another object.
        if {".", ".."} & set(self.object_name.split("/")):
            raise refusal(
                f"{self.object_name} cannot be handed out by a link: browsers leave out its parts . and .., so put a copy of it under another name"
            )
        return self


class AssetUpdate(Value):
    """What shall be another way; None leaves it."""

    visibility: Visibility | None = None
    content_disposition: ContentDisposition | None = None
