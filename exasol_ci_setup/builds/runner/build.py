"""Run one build in a container: copy the source, run the phases, save the artifacts."""

from __future__ import annotations

import io
import os
import secrets as randomness
import shutil
import tarfile
import tempfile
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, Final

from exasol_ci_setup.builds.runner import artifacts, phases, script
from exasol_ci_setup.builds.runner.stream import Splitter, redact
from exasol_ci_setup.core.errors import EngineError, InputError, SetupError
from exasol_ci_setup.docker import interactive

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from docker import DockerClient

    from exasol_ci_setup.builds.runner.buildspec import Artifact, Buildspec
    from exasol_ci_setup.builds.runner.phases import PhaseResult
    from exasol_ci_setup.core.reporter import Reporter
    from exasol_ci_setup.docker.interactive import Container, Conversation

_MARK_TEXT: Final = "# Created by exasol-ci-setup run-buildspec. The next run replaces the files in this folder.\n*\n"
_OWN_VARIABLES: Final = ("AWS_",)  # CodeBuild does not export them


@dataclass(frozen=True, slots=True)
class SavedArtifacts:
    """One set of artifacts: its folder and its files; `problem` is the reason if it has no files."""

    identifier: str
    folder: Path
    files: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a build: its phases, exported variables and saved artifacts."""

    phases: tuple[PhaseResult, ...]
    exported: Mapping[str, str] = field(default_factory=dict)
    artifacts: tuple[SavedArtifacts, ...] = ()


@dataclass(frozen=True, slots=True)
class BuildOutput:
    """A piece of the build's output, with redacted secrets; `data` may end within a line."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Job:
    """The inputs of a build: it runs `spec` on a copy of `source` in `image`, and saves artifacts to `folder`."""

    spec: Buildspec
    source: Path
    image: str
    variables: Mapping[str, str]
    secrets: tuple[str, ...]
    folder: ArtifactsFolder
    privileged: bool = False


class ArtifactsFolder:
    """The folder for artifacts, with one subfolder for each build. A marker file in it allows its replacement."""

    def __init__(self, root: Path, build: str) -> None:
        """Check the folder without creating it. Raises InputError if `root` contains other files."""
        self.root, self.path = root, root / build
        hint = "name another folder with --artifacts-dir"
        try:
            usable = not root.exists() or (root.is_dir() and (not any(root.iterdir()) or self._mark.is_file()))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{root} cannot be used for artifacts: {getattr(error, 'strerror', None) or error}", hint=hint
            ) from None
        if not usable:
            raise InputError(f"{root} is not empty and was not created by run-buildspec", hint=hint)

    @property
    def _mark(self) -> Path:
        return self.root / ".gitignore"

    def renew(self) -> None:
        """Create the folder of this build, and empty it if it exists. Raises SetupError if that fails."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._mark.write_text(_MARK_TEXT, encoding="utf-8")
            if self.path.is_symlink() or self.path.is_file():
                self.path.unlink()
            elif self.path.exists():
                shutil.rmtree(self.path)
            self.path.mkdir()
        except OSError as error:
            raise SetupError(f"{self.path} cannot be created: {error.strerror or error}") from None


def run(engine: DockerClient, job: Job, reporter: Reporter) -> Outcome:
    """Run a build and return its result.

    The reporter receives the events of `phases.run` and `BuildOutput`, and a note about a difference from CodeBuild. The container is always removed. Raises EngineError if the Docker engine fails, and SetupError if the source cannot be
    copied or the artifacts cannot be written.
    """
    job.folder.renew()
    try:
        return _run(engine, job, reporter)
    except interactive.NotPermittedError as error:
        if not job.privileged:
            raise EngineError(f"the container cannot be started: {error}") from None
        reporter.note(
            f"the Docker engine cannot run privileged containers ({error}); the build runs without privileges"
        )
        return _run(engine, replace(job, privileged=False), reporter)


def _run(engine: DockerClient, job: Job, reporter: Reporter) -> Outcome:
    marker = f"{script.SEPARATOR}{randomness.token_hex(16)} "
    arguments = ("-c", script.entry(job.spec.shell))
    with interactive.container(engine, job.image, arguments, privileged=job.privileged) as container:
        texts = [command.text for command in phases.commands(job.spec)]
        files = script.files(job.spec, texts, job.variables, marker)
        files[script.EVALUATION] = script.evaluation(_expressions(job.spec), job.spec.exported)
        with _temporary(job.folder.path, "the source cannot be copied") as packed:
            _pack(packed, job, files)
            container.put(packed)
        with container.started() as conversation:
            agent = _Agent(conversation, Splitter(marker, job.secrets), reporter)
            results = phases.run(
                job.spec, lambda command, succeeding: agent.run(f"script-{command.number}", succeeding), reporter
            )
            agent.run(script.EVALUATION, all(result.failure is None for result in results))
            try:
                answers = _read_answers(container, len(_expressions(job.spec)) + len(job.spec.exported))
            except EngineError:
                if all(result.failure is None for result in results):
                    raise
                # The failed phase is a better error than the missing answers.
                return Outcome(results)
            spec = _expand_artifacts(job.spec, answers)
            saved = tuple(_save_artifacts(container, each, job.folder.path) for each in spec.artifacts)
    exported = dict(zip(spec.exported, answers[len(answers) - len(spec.exported) :], strict=True))
    return Outcome(
        results,
        {
            name: "***" if name in spec.secrets else redact(value, job.secrets)
            for name, value in exported.items()
            if not name.startswith(_OWN_VARIABLES)
        },
        saved if phases.has_built(spec, results) else (),
    )


class _Agent:
    """Sends commands to the agent in the container, and passes on their output."""

    def __init__(self, conversation: Conversation, splitter: Splitter, reporter: Reporter) -> None:
        self._conversation, self._reporter = conversation, reporter
        self._pieces = self._read(splitter)

    def run(self, name: str, succeeding: bool) -> int:
        """Run a script and return its exit status."""
        self._conversation.write(f"{name} {int(succeeding)}\n".encode())
        return self._wait_for_status()

    def _wait_for_status(self) -> int:
        line_is_open = False
        for piece in self._pieces:
            if isinstance(piece, int):
                if line_is_open:
                    self._reporter.event(BuildOutput(b"\n"))
                return piece
            self._reporter.event(BuildOutput(piece))
            line_is_open = not piece.endswith(b"\n")
        raise EngineError(
            "the container ended before the build did"
            + (f": {message}" if (message := self._conversation.last_message()) else ""),
            hint="another process stopped it, or it ran out of memory",
        )

    def _read(self, splitter: Splitter) -> Iterator[bytes | int]:
        while data := self._conversation.read():
            yield from splitter.feed(data)
        yield from splitter.end()


def _pack(file: IO[bytes], job: Job, files: Mapping[str, str]) -> None:
    """Write an archive of the scripts and the source, except the folder for artifacts, to `file`, and rewind it."""
    without = os.path.realpath(job.folder.root)

    def owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        # git refuses a repository that another user owns.
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        return member

    def add(archive: tarfile.TarFile, path: Path, name: str) -> None:
        if os.path.realpath(path) == without:
            return
        archive.add(path, name, recursive=False, filter=owned_by_root)
        if path.is_dir() and not path.is_symlink():
            for entry in sorted(path.iterdir()):
                add(archive, entry, f"{name}/{entry.name}")

    try:
        with tarfile.open(fileobj=file, mode="w") as archive:
            add(archive, job.source.resolve(), script.SOURCE.lstrip("/"))
            for name, text in files.items():
                # The value of a variable can contain any bytes.
                data = text.encode(errors="surrogateescape")
                member = tarfile.TarInfo(f"{script.WORK.lstrip('/')}/{name}")
                member.size, member.mode = len(data), 0o600
                archive.addfile(member, io.BytesIO(data))
        file.seek(0)
    except OSError as error:
        raise SetupError(
            f"the source cannot be copied: {error.filename or job.source}: {error.strerror or error}"
        ) from None


def _expressions(spec: Buildspec) -> list[str]:
    return [
        text for each in spec.artifacts for text in (each.base_directory, each.name, *each.files, *each.exclude_paths)
    ]


def _expand_artifacts(spec: Buildspec, answers: list[str]) -> Buildspec:
    """Return the buildspec with the artifacts' texts as expanded by the shell."""
    rest = iter(answers)

    def expanded(each: Artifact) -> Artifact:
        base, name = next(rest), next(rest)
        files = tuple(next(rest) for _ in each.files)
        return replace(
            each,
            base_directory=base,
            name=name,
            files=files,
            exclude_paths=tuple(next(rest) for _ in each.exclude_paths),
        )

    return replace(spec, artifacts=tuple(expanded(each) for each in spec.artifacts))


def _read_answers(container: Container, count: int) -> list[str]:
    with tempfile.TemporaryFile() as file:
        found = container.get(script.ANSWERS, file)
        file.seek(0)
        if found:
            with tarfile.open(fileobj=file) as archive:
                for member in archive:
                    if (content := archive.extractfile(member)) is not None:
                        answers = content.read().decode(errors="replace").split(script.SEPARATOR)[:-1]
                        if len(answers) == count:
                            return answers
    raise EngineError(
        "the artifacts and exported variables cannot be read: the shell did not write them",
        hint="check that names and paths of artifacts are valid shell text, and that no command removes /codebuild/output/tmp",
    )


def _save_artifacts(container: Container, artifact: Artifact, folder: Path) -> SavedArtifacts:
    """Copy one set of artifacts out of the container."""
    target = folder / (_safe_name(artifact.name) or artifact.identifier or "artifacts")
    root = artifacts.root(artifact)
    with _temporary(folder, "artifacts cannot be written") as file:
        if not container.get(root, file):
            return SavedArtifacts(artifact.identifier, target, problem=f"{root} does not exist")
        file.seek(0)
        with tarfile.open(fileobj=file) as archive:
            # The archive of `docker cp` begins with the folder itself.
            above = root.rstrip("/").rpartition("/")[0]
            members = {f"{above}/{each.name}".rstrip("/"): each for each in archive if not each.isdir()}
            chosen = artifacts.select(artifact, members)
            try:
                files = tuple(name for name, path in chosen.items() if _extract(archive, members[path], target, name))
            except OSError as error:
                raise SetupError(f"artifacts cannot be written: {error.filename or target}: {error.strerror}") from None
    if not files:
        return SavedArtifacts(artifact.identifier, target, problem=f"no file matches {', '.join(artifact.files)}")
    return SavedArtifacts(artifact.identifier, target, files)


def _temporary(folder: Path, failure: str) -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(dir=folder)
    except OSError as error:
        raise SetupError(f"{failure}: {folder}: {error.strerror}") from None


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path, name: str) -> bool:
    """Write a file of an archive to `target`/`name`, and return whether it was written. Links are followed."""
    # The build controls the names in the archive, so they must not lead out of the folder.
    parts = name.split("/")
    if ".." in parts or "" in parts:
        return False
    try:
        content = archive.extractfile(member)
    except (KeyError, RecursionError):  # a link out of the archive, or to itself
        return False
    if content is None:
        return False
    path = target.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        shutil.copyfileobj(content, file)
    path.chmod(0o755 if member.mode & 0o111 else 0o644)
    return True


def _safe_name(name: str) -> str:
    """Return the name of an artifact as a relative path without ``..``."""
    return "/".join(part for part in name.split("/") if part not in {"", ".", ".."})
