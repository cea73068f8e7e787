"""Find the local files that a template names in properties which AWS reads from S3, and replace them by their uploads.

The properties are those of ``aws cloudformation package`` and ``sam package``:
https://docs.aws.amazon.com/cli/latest/reference/cloudformation/package.html.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Literal, Protocol

from exasol_ci_setup.core import archive
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.template.input_files import read_text
from exasol_ci_setup.template.intrinsics import resources_with_loops
from exasol_ci_setup.template.render import Template
from exasol_ci_setup.template.replacement import replace_values
from exasol_ci_setup.template.source import parse_own

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Content = Literal["file", "zip", "template"]

PREFIX: Final = "artifacts/"
"""The prefix of the keys of artifacts. Objects below it do not expire: some services read them long after the deployment."""

_REMOTE: Final = re.compile(r"(?:s3|https?|arn):", re.IGNORECASE)
_SUFFIX: Final = re.compile(r"\.[A-Za-z0-9]{1,10}")
_INCLUDE: Final = "AWS::Include"
_BLOCK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ArtifactProperty:
    """A property with a file that AWS reads from S3.

    `path` is the place below ``Properties``. `content`: ``zip`` is always a zip archive, ``template`` a nested template; a folder
    becomes a zip archive. `members` are the names of bucket and key in the value, empty for a URI. `is_https` is for a property
    that takes no ``s3://`` URI. `for_plan`: CloudFormation reads the file when it creates the change set.
    """

    path: tuple[str, ...]
    content: Content = "file"
    members: tuple[str, str] | tuple[()] = ()
    is_https: bool = False
    for_plan: bool = False


_BUCKET_KEY: Final = ("Bucket", "Key")
_S3_BUCKET_KEY: Final = ("S3Bucket", "S3Key")
_MAPPING_TEMPLATES: Final = (
    ArtifactProperty(("RequestMappingTemplateS3Location",)),
    ArtifactProperty(("ResponseMappingTemplateS3Location",)),
    ArtifactProperty(("CodeS3Location",)),
)
PROPERTIES: Final[Mapping[str, tuple[ArtifactProperty, ...]]] = {
    "AWS::ApiGateway::RestApi": (ArtifactProperty(("BodyS3Location",), members=_BUCKET_KEY),),
    "AWS::ApiGatewayV2::Api": (ArtifactProperty(("BodyS3Location",), members=_BUCKET_KEY),),
    "AWS::AppSync::FunctionConfiguration": _MAPPING_TEMPLATES,
    "AWS::AppSync::GraphQLSchema": (ArtifactProperty(("DefinitionS3Location",)),),
    "AWS::AppSync::Resolver": _MAPPING_TEMPLATES,
    "AWS::CloudFormation::ModuleVersion": (ArtifactProperty(("ModulePackage",), "zip"),),
    "AWS::CloudFormation::ResourceVersion": (ArtifactProperty(("SchemaHandlerPackage",), "zip"),),
    "AWS::CloudFormation::Stack": (ArtifactProperty(("TemplateURL",), "template", is_https=True, for_plan=True),),
    "AWS::CodeCommit::Repository": (ArtifactProperty(("Code", "S3"), "zip", _BUCKET_KEY),),
    "AWS::ElasticBeanstalk::ApplicationVersion": (ArtifactProperty(("SourceBundle",), members=_S3_BUCKET_KEY),),
    "AWS::Glue::Job": (ArtifactProperty(("Command", "ScriptLocation")),),
    "AWS::Lambda::Function": (ArtifactProperty(("Code",), "zip", _S3_BUCKET_KEY),),
    "AWS::Lambda::LayerVersion": (ArtifactProperty(("Content",), "zip", _S3_BUCKET_KEY),),
    "AWS::Serverless::Api": (ArtifactProperty(("DefinitionUri",)),),
    "AWS::Serverless::Application": (ArtifactProperty(("Location",), "template", is_https=True, for_plan=True),),
    "AWS::Serverless::Function": (ArtifactProperty(("CodeUri",), "zip"),),
    "AWS::Serverless::HttpApi": (ArtifactProperty(("DefinitionUri",)),),
    "AWS::Serverless::LayerVersion": (ArtifactProperty(("ContentUri",), "zip"),),
    "AWS::Serverless::StateMachine": (ArtifactProperty(("DefinitionUri",), members=_BUCKET_KEY),),
    "AWS::StepFunctions::StateMachine": (ArtifactProperty(("DefinitionS3Location",), members=_BUCKET_KEY),),
}
_GLOBALS: Final = {"Function": ArtifactProperty(("CodeUri",), "zip")}
_METADATA: Final = {
    "AWS::ServerlessRepo::Application": (ArtifactProperty(("LicenseUrl",)), ArtifactProperty(("ReadmeUrl",)))
}
_LOCATION: Final = ArtifactProperty(("Location",), for_plan=True)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in S3. `is_new` is false if an earlier run uploaded it."""

    bucket: str
    key: str
    url: str
    is_new: bool = False


class ArtifactStore(Protocol):
    """Where artifacts are uploaded to."""

    def put(self, key: str, write: Callable[[IO[bytes]], None], /, *, for_plan: bool = False) -> StoredObject:
        """Return the object `key`; if it does not exist, create it with the content that `write` writes.

        `for_plan`: CloudFormation reads it when it creates the change set.
        """


class PlaceholderStore:
    """A store that uploads nothing, to lint or show a template without AWS."""

    def put(self, key: str, write: Callable[[IO[bytes]], None], /, *, for_plan: bool = False) -> StoredObject:  # noqa: ARG002 - as in ArtifactStore
        """Return an object that does not exist."""
        return StoredObject("artifacts", key, f"https://artifacts.s3.amazonaws.com/{key}")


@dataclass(frozen=True, slots=True)
class LocalArtifact:
    """A local file or folder in a template.

    `keys` is its place in the parsed template. `nested` is the content of a nested template.
    """

    keys: tuple[str | int, ...]
    path: Path
    target: ArtifactProperty
    nested: LocalArtifacts | None = None

    @property
    def place(self) -> str:
        """The place in short notation, such as ``Function.Code``."""
        names = [str(key) for key in self.keys if key not in {"Resources", "Properties"}]
        return ".".join(names)


@dataclass(frozen=True, slots=True)
class LocalArtifacts:
    """A template with its local artifacts."""

    template: Template
    artifacts: tuple[LocalArtifact, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.artifacts)


@dataclass(frozen=True, slots=True)
class PackagedTemplate:
    """A template whose local artifacts are replaced, and the object of each artifact by its place."""

    template: Template
    objects: Mapping[str, StoredObject] = field(default_factory=dict)


def default_root(folder: Path) -> Path:
    """Return the folder that artifacts must be in: the repository of git, else the working directory, else `folder` itself."""
    resolved = folder.resolve()
    for each in (resolved, *resolved.parents):
        if (each / ".git").exists():
            return each
    working = Path.cwd()
    return working if working == resolved or working in resolved.parents else resolved


def find_artifacts(
    template: Template, parsed: Mapping[str, Any], folder: Path, *, root: Path | None = None
) -> LocalArtifacts:
    """Return the local artifacts of a template, and of the nested templates in files. Paths are relative to `folder`.

    Raises InputError with all problems: a path that does not exist, is outside of `root` (default: `default_root`), or has the
    wrong kind, also by symbolic links; and a nested template that cannot be read or contains itself.
    """
    finder = _Finder((root or default_root(folder)).resolve())
    found = finder.find(template, parsed, folder, ())
    if finder.problems:
        raise InputError.of(
            finder.problems,
            f"{len(finder.problems)} local artifacts cannot be used",
            hint="paths are relative to the folder of the template",
        )
    return found


def package(found: LocalArtifacts, store: ArtifactStore) -> PackagedTemplate:
    """Return the template with its local artifacts replaced by objects in `store`, which are named by the hash of their content.

    The rest of the template keeps its meaning, and its text if possible. Raises InputError for a file that cannot be read,
    SetupError for one that changes while it is read, and the errors of the store.
    """
    values: dict[tuple[str | int, ...], Any] = {}
    objects: dict[str, StoredObject] = {}
    for artifact in found.artifacts:
        if artifact.nested is not None:
            inner = package(artifact.nested, store)
            objects.update({f"{artifact.place}/{place}": each for place, each in inner.objects.items()})
            stored = _put_text(store, inner.template)
        else:
            stored = _put_path(store, artifact)
        objects[artifact.place] = stored
        values[artifact.keys] = _value(artifact.target, stored)
    if not values:
        return PackagedTemplate(found.template)
    body = replace_values(found.template.body, values)
    return PackagedTemplate(Template(found.template.name, body), objects)


def _value(of: ArtifactProperty, stored: StoredObject) -> Any:
    if of.members:
        bucket, key = of.members
        return {bucket: stored.bucket, key: stored.key}
    return stored.url if of.is_https else f"s3://{stored.bucket}/{stored.key}"


def _put_text(store: ArtifactStore, template: Template) -> StoredObject:
    content = template.body.encode()
    key = f"{PREFIX}{hashlib.sha256(content).hexdigest()}.template"

    def write(stream: IO[bytes]) -> None:
        stream.write(content)

    return store.put(key, write, for_plan=True)


def _put_path(store: ArtifactStore, artifact: LocalArtifact) -> StoredObject:
    path = artifact.path
    is_zip = artifact.target.content == "zip"
    tree = None
    if path.is_dir():
        tree = archive.of_artifact(path)
    elif is_zip and not zipfile.is_zipfile(path):
        tree = archive.of_file(path)
    write: Callable[[IO[bytes]], None]
    if tree is None:
        suffix = path.suffix if _SUFFIX.fullmatch(path.suffix) else ""
        key, write = f"{PREFIX}{_hash(path)}{suffix}", partial(_copy, path)
    else:
        key, write = f"{PREFIX}{archive.content_hash(tree)}.zip", partial(archive.pack_zip, tree)
    return store.put(key, write, for_plan=artifact.target.for_plan)


def _hash(path: Path) -> str:
    found = hashlib.sha256()
    with archive.open_file(path) as stream:
        while block := stream.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def _copy(path: Path, into: IO[bytes]) -> None:
    with archive.open_file(path) as stream:
        while block := stream.read(_BLOCK):
            into.write(block)


class _Finder:
    """Collects artifacts and problems."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[str] = []

    def find(
        self, template: Template, parsed: Mapping[str, Any], folder: Path, above: tuple[Path, ...]
    ) -> LocalArtifacts:
        found = []
        for keys, of, value in _local_values(parsed):
            artifact = self._artifact(template.name, keys, of, folder / value, above)
            if artifact is not None:
                found.append(artifact)
        return LocalArtifacts(template, tuple(found))

    def _artifact(
        self, name: str, keys: tuple[str | int, ...], of: ArtifactProperty, path: Path, above: tuple[Path, ...]
    ) -> LocalArtifact | None:
        artifact = LocalArtifact(keys, path, of)
        rule = self._rule(path, of)
        if rule:
            self.problems.append(f"{name}: {artifact.place}: {path} {rule}")
            return None
        if of.content != "template":
            return artifact
        resolved = path.resolve()
        if resolved in above:
            self.problems.append(f"{name}: {artifact.place}: {path} contains itself")
            return None
        try:
            nested = Template(str(path), read_text(path))
            parsed = parse_own(nested)
        except InputError as error:
            self.problems.append(f"{name}: {artifact.place}: {error.message}")
            return None
        inner = self.find(nested, parsed, path.parent, (*above, resolved))
        return LocalArtifact(keys, path, of, inner)

    def _rule(self, path: Path, of: ArtifactProperty) -> str:
        """Return why this cannot be the artifact, or empty text."""
        try:
            resolved = path.resolve()
            exists, is_folder, is_file = path.exists(), path.is_dir(), path.is_file()
        except (OSError, ValueError, RuntimeError):
            # A name that is too long or has a null character, or links in a cycle.
            return "is not the name of a file"
        if not exists:
            return "does not exist"
        if resolved != self.root and self.root not in resolved.parents:
            return f"is outside of {self.root}"
        if not is_folder and not is_file:
            return "is neither a file nor a folder"
        if is_folder and of.content == "template":
            return "is a folder, not a template"
        if is_folder:
            try:
                tree = archive.of_artifact(path)
            except InputError as error:
                return f"cannot be packed: {error.message}"
            if not tree.entries:
                return "contains no files"
            outside = archive.links_out_of(tree)
            return f"contains a link that leads out of it: {', '.join(outside[:3])}" if outside else ""
        return ""


def _local_values(parsed: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], ArtifactProperty, str]]:
    """Yield place, property and path of each local artifact."""
    for keys, resource in resources_with_loops(parsed):
        of_type = resource.get("Type")
        for each in PROPERTIES.get(of_type, ()) if isinstance(of_type, str) else ():
            yield from _local_value(resource, (*keys, "Properties", *each.path), each, len(keys))
    for section, each in _GLOBALS.items():
        yield from _local_value(parsed, ("Globals", section, *each.path), each)
    for section, several in _METADATA.items():
        for each in several:
            yield from _local_value(parsed, ("Metadata", section, *each.path), each)
    yield from _includes(parsed, ())


def _local_value(
    within: Mapping[str, Any], keys: tuple[str | int, ...], of: ArtifactProperty, skip: int = 0
) -> Iterator[tuple[tuple[str | int, ...], ArtifactProperty, str]]:
    """Yield the value at `keys` if it is local; `within` is the part of the template below the first `skip` keys."""
    value: Any = within
    for key in keys[skip:]:
        value = value.get(key) if isinstance(value, dict) else None
    if _is_local(value):
        yield keys, of, value


def _is_local(value: Any) -> bool:
    # A text with a variable of a loop or a dynamic reference is not a path.
    return isinstance(value, str) and bool(value) and not _REMOTE.match(value) and not {"${", "{{"} & {value[:2]}


def _includes(value: Any, keys: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], ArtifactProperty, str]]:
    """Yield the files that ``AWS::Include`` includes at any depth."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _includes(item, (*keys, index))
    elif isinstance(value, dict):
        is_transform = keys[-1:] == ("Fn::Transform",) or keys[:1] == ("Transform",)
        if is_transform and value.get("Name") == _INCLUDE:
            yield from _local_value(value, (*keys, "Parameters", "Location"), _LOCATION, len(keys))
        for key, item in value.items():
            yield from _includes(item, (*keys, key))
