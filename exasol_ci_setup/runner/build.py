"""One build from its buildspec to its artifacts: copies the source into a container, has its phases run there, keeps what they made."""

from __future__ import annotations

import io
import os
import secrets as randomness
import shutil
import tarfile
import tempfile
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, Final, Protocol

from exasol_ci_setup.errors import EngineError, InputError, SetupError
from exasol_ci_setup.runner import artifacts, phases, script
from exasol_ci_setup.runner.engine import NotPermitted
from exasol_ci_setup.runner.phases import Observer
from exasol_ci_setup.runner.stream import Splitter, hidden

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from exasol_ci_setup.runner.buildspec import Artifact, Buildspec
    from exasol_ci_setup.runner.engine import Container, Conversation, Engine
    from exasol_ci_setup.runner.phases import PhaseResult

_OURS: Final = "# Made by exasol-ci-setup run-buildspec; what is in here is replaced by its next run.\n*\n"
_OWN_VARIABLES: Final = ("AWS_",)  # CodeBuild does not export them


@dataclass(frozen=True, slots=True)
class SavedArtifacts:
    """One set of artifacts: where it was put, and the files in it; `problem` says why there are none."""

    identifier: str
    folder: Path
    files: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a build ended."""

    phases: tuple[PhaseResult, ...]
    exported: Mapping[str, str] = field(default_factory=dict)
    kept: tuple[SavedArtifacts, ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether every phase did, and all artifacts were there."""
        return all(result.failure is None for result in self.phases) and not any(each.problem for each in self.kept)


class Watcher(Observer, Protocol):
    """Is told what happens, and gets the output."""

    def output(self, data: bytes) -> None:
        """Take a piece of what the build writes, secrets hidden."""

    def note(self, text: str) -> None:
        """Take a remark on what is different from CodeBuild."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be run: a buildspec on a copy of `source`, in `image`, its artifacts to go below `folder`."""

    spec: Buildspec
    source: Path
    image: str
    variables: Mapping[str, str]
    secrets: tuple[str, ...]
    folder: ArtifactsFolder
    privileged: bool = False


class ArtifactsFolder:
    """The folder for the artifacts of builds, one folder for each build in it; a file marks it as ours to replace."""

    def __init__(self, root: Path, build: str) -> None:
        """Name the folder; nothing is made yet. Raises InputError if `root` is in use for something else."""
        self.root, self.path = root, root / build
        hint = "name another folder with --artifacts-dir"
        try:
            usable = not root.exists() or (root.is_dir() and (not any(root.iterdir()) or self._mark.is_file()))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{root} cannot be used for artifacts: {getattr(error, 'strerror', None) or error}", hint=hint
            ) from None
        if not usable:
            raise InputError(f"{root} is not empty and was not made by run-buildspec", hint=hint)

    @property
    def _mark(self) -> Path:
        return self.root / ".gitignore"

    def renew(self) -> None:
        """Make the folder of this build, empty. Raises SetupError if that is not possible."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._mark.write_text(_OURS, encoding="utf-8")
            if self.path.is_symlink() or self.path.is_file():
                self.path.unlink()
            elif self.path.exists():
                shutil.rmtree(self.path)
            self.path.mkdir()
        except OSError as error:
            raise SetupError(f"{self.path} cannot be made: {error.strerror or error}") from None


def run(engine: Engine, job: Job, watcher: Watcher) -> Outcome:
    """Run a build and return how it ended.

    Raises EngineError if the engine fails, and SetupError if the source cannot be copied. The container is removed in any case.
    """
    job.folder.renew()
    try:
        return _run(engine, job, watcher)
    except NotPermitted as error:
        if not job.privileged:
            raise EngineError(f"the container cannot be started: {error}") from None
        watcher.note(f"the engine may not run a privileged container ({error}), so the build runs without privileges")
        return _run(engine, replace(job, privileged=False), watcher)


def _run(engine: Engine, job: Job, watcher: Watcher) -> Outcome:
    marker = f"{script.SEPARATOR}{randomness.token_hex(16)} "
    arguments = ("-c", script.entry(job.spec.shell))
    with engine.container(job.image, arguments, privileged=job.privileged) as container:
        texts = [command.text for command in phases.commands(job.spec)]
        files = script.files(job.spec, texts, job.variables, marker)
        files[script.EVALUATION] = script.evaluation(_expressions(job.spec), job.spec.exported)
        container.put(lambda archive: _pack(archive, job, files))
        container.start()
        with container.attached() as conversation:
            orders = _Orders(conversation, Splitter(marker, job.secrets), watcher)
            results = phases.run(job.spec, lambda command, fine: orders.give(f"script-{command.number}", fine), watcher)
            orders.give(script.EVALUATION, all(result.failure is None for result in results))
            try:
                answers = _answers(container, len(_expressions(job.spec)) + len(job.spec.exported))
            except EngineError:
                if all(result.failure is None for result in results):
                    raise
                # How the build failed says more.
                return Outcome(results)
            spec = _evaluated(job.spec, answers)
            kept = tuple(_keep(container, each, job.folder.path) for each in spec.artifacts)
    exported = dict(zip(spec.exported, answers[len(answers) - len(spec.exported) :], strict=True))
    return Outcome(
        results,
        {
            name: "***" if name in spec.secrets else hidden(value, job.secrets)
            for name, value in exported.items()
            if not name.startswith(_OWN_VARIABLES)
        },
        kept if phases.has_built(spec, results) else (),
    )


class _Orders:
    """Gives the agent orders, and passes on what comes until it has done each."""

    def __init__(self, conversation: Conversation, splitter: Splitter, watcher: Watcher) -> None:
        self._conversation, self._watcher = conversation, watcher
        self._pieces = self._read(splitter)

    def give(self, name: str, succeeding: bool) -> int:
        """Have a script run and return its exit status."""
        self._conversation.write(f"{name} {int(succeeding)}\n".encode())
        return self._await()

    def _await(self) -> int:
        line_is_open = False
        for piece in self._pieces:
            if isinstance(piece, int):
                if line_is_open:
                    self._watcher.output(b"\n")
                return piece
            self._watcher.output(piece)
            line_is_open = not piece.endswith(b"\n")
        raise EngineError(
            "the container ended before the build did" + (f": {said}" if (said := self._conversation.said()) else ""),
            hint="it may have been stopped from outside, or have had too little memory",
        )

    def _read(self, splitter: Splitter) -> Iterator[bytes | int]:
        while data := self._conversation.read():
            yield from splitter.feed(data)
        yield from splitter.end()


def _pack(archive: tarfile.TarFile, job: Job, files: Mapping[str, str]) -> None:
    """Add the source, without the folder for artifacts, and the scripts."""
    without = os.path.realpath(job.folder.root)

    def ours(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        # Everything is root's, or git would refuse a repository that is somebody else's.
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        return member

    def add(path: Path, name: str) -> None:
        if os.path.realpath(path) == without:
            return
        archive.add(path, name, recursive=False, filter=ours)
        if path.is_dir() and not path.is_symlink():
            for entry in sorted(path.iterdir()):
                add(entry, f"{name}/{entry.name}")

    try:
        add(job.source.resolve(), script.SOURCE.lstrip("/"))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SetupError(
            f"the source cannot be copied: {error.filename or job.source}: {error.strerror or error}"
        ) from None
    for name, text in files.items():
        # A variable of the caller's may hold any bytes.
        data = text.encode(errors="surrogateescape")
        member = tarfile.TarInfo(f"{script.WORK.lstrip('/')}/{name}")
        member.size, member.mode = len(data), 0o600
        archive.addfile(member, io.BytesIO(data))


def _expressions(spec: Buildspec) -> list[str]:
    return [
        text for each in spec.artifacts for text in (each.base_directory, each.name, *each.files, *each.exclude_paths)
    ]


def _evaluated(spec: Buildspec, answers: list[str]) -> Buildspec:
    """Return the buildspec with its artifacts' texts as the shell expands them."""
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


def _answers(container: Container, count: int) -> list[str]:
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
        "the build left no trace of its variables behind",
        hint="is a path or name of the artifacts no valid text for a shell, or did a command remove /codebuild/output/tmp?",
    )


def _keep(container: Container, artifact: Artifact, folder: Path) -> SavedArtifacts:
    """Copy one set of artifacts out of the container."""
    target = folder / (_harmless(artifact.name) or artifact.identifier or "artifacts")
    root = artifacts.root(artifact)
    with _temporary(folder) as file:
        if not container.get(root, file):
            return SavedArtifacts(artifact.identifier, target, problem=f"there is no {root}")
        file.seek(0)
        with tarfile.open(fileobj=file) as archive:
            # Docker's archive begins with the folder itself.
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


def _temporary(folder: Path) -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(dir=folder)
    except OSError as error:
        raise SetupError(f"artifacts cannot be written: {folder}: {error.strerror}") from None


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path, name: str) -> bool:
    """Write a file of an archive to `target`/`name`; a link becomes what it leads to. Return whether there was anything to write."""
    # The archive holds what a build made; no name of it may lead out of the folder.
    parts = name.split("/")
    if ".." in parts or "" in parts:
        return False
    try:
        content = archive.extractfile(member)
    except (KeyError, RecursionError):  # a link that leads out of the archive, or to itself
        return False
    if content is None:
        return False
    path = target.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        shutil.copyfileobj(content, file)
    path.chmod(0o755 if member.mode & 0o111 else 0o644)
    return True


def _harmless(name: str) -> str:
    """Return an artifact's name as a relative path below the folder for artifacts."""
    return "/".join(part for part in name.split("/") if part not in {"", ".", ".."})
