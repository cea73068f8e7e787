"""Images from their configuration: built once for what they are made of, and found again by a tag that is made of it, too."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.containers import engine
from exasol_ci_setup.containers.manager import context, dockerfile
from exasol_ci_setup.containers.manager.arguments import IMAGE_LABEL
from exasol_ci_setup.errors import EngineError, EngineUnavailable, ImageNotBuilt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from docker import DockerClient

    from exasol_ci_setup.containers.manager.config import Config, Image
    from exasol_ci_setup.containers.manager.streams import Streams

log = logging.getLogger(__name__)

REPOSITORY: Final = "exasol-ci-setup-container-manager"
_FILE: Final = f"{dockerfile.OURS}/Dockerfile"
_NOT_FOUND: Final = 404
_LAST_LINES: Final = 20
_DIGEST_LENGTH: Final = 32


class Images:
    """The images of a configuration, on an engine. Its functions block, and may be called by several threads at once."""

    def __init__(self, client: DockerClient, streams: Streams, config: Config) -> None:
        self._client = client
        self._streams = streams
        self._config = config

    def built(self, name: str, tags: Mapping[str, str]) -> str:
        """Return the tag of an image, which is built if the engine does not have it.

        `tags` has the tags of the images of the configuration that it is built from. Raises ImageNotBuilt with the engine's reason,
        InputError for files that cannot be read, and ShuttingDown when that came in between.
        """
        image = self._config.images[name]
        bases = [self._had(base, image) for base in dockerfile.externals(image.commands)]
        contents, contexts = {_FILE: dockerfile.render(image.commands, tags)}, {}
        for each in image.commands:
            if isinstance(each, dockerfile.AddContent):
                contents[each.name] = each.content
            elif isinstance(each, dockerfile.AddContext):
                contexts[each.name] = each.context
        files = context.tree(image.context.of(self._config.document))
        for path in files.skipped:
            log.warning("%s: %s is neither a file nor a link, and left out", name, path)
        with context.packed(files, contents, contexts) as (archive, digest):
            whole = hashlib.sha256("\n".join([digest, *bases]).encode()).hexdigest()[:_DIGEST_LENGTH]
            tag = f"{REPOSITORY}/{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}:{whole}"
            if self._id(tag) is None:
                self._build(name, tag, archive)
        return tag

    def _build(self, name: str, tag: str, archive: Any) -> None:
        log.info("%s: building %s", name, tag)
        output: deque[str] = deque(maxlen=_LAST_LINES)
        with self._streams.reading(), _not_built(f"image {name} cannot be built"):
            answer = self._client.api.build(
                fileobj=archive,
                custom_context=True,
                encoding="gzip",
                dockerfile=_FILE,
                tag=tag,
                rm=True,
                forcerm=True,
                labels={IMAGE_LABEL: name},
                decode=True,
            )
            reason = _followed(name, answer, output)
        if reason is not None:
            raise ImageNotBuilt(f"image {name} cannot be built: {reason}", output=output)
        log.info("%s: built", name)

    def _had(self, reference: str, image: Image) -> str:
        """Return the id of an image that is not of the configuration, pulled if the engine does not have it."""
        if found := self._id(reference):
            return found
        log.info("pulling %s", reference)
        with self._streams.reading(), _not_built(f"image {reference} cannot be pulled"):
            answer = self._client.api.pull(
                reference, stream=True, decode=True, auth_config=self._login(reference, image)
            )
            reason = _followed(reference, answer, deque(maxlen=1))
        found = self._id(reference)
        if reason is not None or found is None:
            raise ImageNotBuilt(
                f"image {reference} cannot be pulled: {reason or 'the engine does not have it afterwards'}"
            )
        return found

    def _login(self, reference: str, image: Image) -> dict[str, str] | None:
        from docker.auth import resolve_repository_name

        registry, _ = resolve_repository_name(reference)
        for registries in (image.authentication, self._config.authentication):
            if (known := registries.get(registry)) and known.reading:
                return {"username": known.reading.username, "password": known.reading.password.get_secret_value()}
        # The client looks into the user's own configuration.
        return None

    def _id(self, reference: str) -> str | None:
        try:
            with engine.told(f"image {reference} cannot be looked up"):
                told = self._client.api.inspect_image(reference)  # type: ignore[no-untyped-call] # the stubs leave it out
                return str(told["Id"])
        except EngineError as error:
            if error.status == _NOT_FOUND:
                return None
            raise


@contextlib.contextmanager
def _not_built(doing: str) -> Iterator[None]:
    """Raise what the engine refuses as ImageNotBuilt."""
    try:
        with engine.told(doing):
            yield
    except EngineUnavailable:
        raise
    except EngineError as error:
        raise ImageNotBuilt(error.message, status=error.status) from error


def _followed(name: str, answer: Iterable[Any], output: deque[str]) -> str | None:
    """Read the answer to its end; return why it failed, or None if it did not. `output` gets the last lines."""
    for part in answer:
        if "error" in part:
            return " ".join(str(part["error"]).split())
        for line in str(part.get("stream", "")).splitlines():
            if line.strip():
                output.append(line.rstrip())
                log.info("%s: %s", name, line.rstrip())
    return None
