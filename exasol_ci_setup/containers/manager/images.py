"""Builds of configured images. The tag of an image is a digest of its inputs, so equal inputs are built once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from docker.auth import resolve_repository_name

from exasol_ci_setup.containers.manager import context, dockerfile
from exasol_ci_setup.containers.manager.arguments import IMAGE_LABEL
from exasol_ci_setup.core.errors import EngineError, EngineUnavailableError, ImageNotBuiltError
from exasol_ci_setup.docker import engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docker import DockerClient

    from exasol_ci_setup.containers.manager.config import Config, Image
    from exasol_ci_setup.containers.manager.streams import Streams

log = logging.getLogger(__name__)

REPOSITORY: Final = "exasol-ci-setup-container-manager"
_FILE: Final = f"{dockerfile.OWN_DIRECTORY}/Dockerfile"
_LAST_LINES: Final = 20
_DIGEST_LENGTH: Final = 32


class Images:
    """The images of a configuration on a Docker engine. The methods block; several threads may call them."""

    def __init__(self, client: DockerClient, streams: Streams, config: Config) -> None:
        self._client = client
        self._streams = streams
        self._config = config

    def ensure_built(self, name: str, tags: Mapping[str, str]) -> str:
        """Return the tag of an image; build the image if the engine does not have it.

        `tags` maps the images of the configuration that it is built from to their tags. Raises ImageNotBuiltError with the reason of the
        engine, InputError for files that cannot be read, and ShuttingDownError if the manager shuts down meanwhile.
        """
        image = self._config.images[name]
        bases = [self._ensure_pulled(base, image) for base in dockerfile.external_images(image.commands)]
        contents, contexts = {_FILE: dockerfile.render(image.commands, tags)}, {}
        for each in image.commands:
            if isinstance(each, dockerfile.AddContent):
                contents[each.name] = each.content
            elif isinstance(each, dockerfile.AddContext):
                contexts[each.name] = each.context
        files = context.read_tree(image.context.resolve(self._config.document))
        for path in files.skipped:
            log.warning("%s: skipped %s, which is neither a file nor a link", name, path)
        with context.pack(files, contents, contexts) as (archive, digest):
            options = image.other_options.build.arguments
            inputs = [digest, *bases, *([json.dumps(options, sort_keys=True)] if options else [])]
            whole = hashlib.sha256("\n".join(inputs).encode()).hexdigest()[:_DIGEST_LENGTH]
            tag = f"{REPOSITORY}/{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}:{whole}"
            if self._find_id(tag) is None:
                self._build(name, tag, archive, options)
        return tag

    def _build(self, name: str, tag: str, archive: Any, options: Mapping[str, Any]) -> None:
        log.info("%s: building %s", name, tag)
        output: deque[str] = deque(maxlen=_LAST_LINES)

        def keep(line: str) -> None:
            output.append(line)
            log.info("%s: %s", name, line)

        with self._streams.reading(), _image_errors(f"image {name} cannot be built"):
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
                **options,
            )
            reason = engine.read_progress(answer, keep)
        if reason is not None:
            raise ImageNotBuiltError(f"image {name} cannot be built: {reason}", output=output)
        log.info("%s: built", name)

    def _ensure_pulled(self, reference: str, image: Image) -> str:
        """Return the ID of an image from a registry; pull it if the engine does not have it."""
        if found := self._find_id(reference):
            return found
        log.info("pulling %s", reference)
        with self._streams.reading(), _image_errors(f"image {reference} cannot be pulled"):
            engine.pull(self._client, reference, lambda _line: None, login=self._login(reference, image))
        if (found := self._find_id(reference)) is None:
            raise ImageNotBuiltError(f"image {reference} cannot be pulled: it is missing after the pull")
        return found

    def _login(self, reference: str, image: Image) -> dict[str, str] | None:
        registry, _ = resolve_repository_name(reference)
        for registries in (image.authentication, self._config.authentication):
            if (known := registries.get(registry)) and known.reading:
                return {"username": known.reading.username, "password": known.reading.password.get_secret_value()}
        # Then the client uses the logins of `docker login`.
        return None

    def _find_id(self, reference: str) -> str | None:
        found = engine.find_image(self._client, reference)
        return found.id if found is not None else None


@contextlib.contextmanager
def _image_errors(doing: str) -> Iterator[None]:
    """Translate errors of the engine to ImageNotBuiltError."""
    try:
        with engine.engine_errors(doing):
            yield
    except EngineUnavailableError:
        raise
    except EngineError as error:
        raise ImageNotBuiltError(error.message, status=error.status) from error
