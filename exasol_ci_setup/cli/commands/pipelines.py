"""Command `generate-pipeline`: write or check the GitHub Actions workflow of a space or CI stack."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from exasol_ci_setup.cli import generated
from exasol_ci_setup.cli.generated import NonEmptyPath, check_option
from exasol_ci_setup.cli.options import ROLE
from exasol_ci_setup.cli.session import log_level_option, markdown_output_option, pass_session, require_preview
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from exasol_ci_setup.builds.workflows import BuildWorkflow, PreviewWorkflow, SpaceWorkflow
    from exasol_ci_setup.cli.session import Session

_SPACE_OPTIONS = (
    "registry_name",
    "skip_registry",
    "dockerfile_path",
    "docker_context",
    "environment",
    "preview",
    "preview_role_arn",
)


@click.command("generate-pipeline")
@pass_session
@require_preview
@click.option(
    "--target",
    type=click.Choice(["space", "codebuild"]),
    default="space",
    show_default=True,
    help="space: build the image and deploy it to a space. codebuild: start and follow the builds of a CI stack.",
)
@click.option("--name", "--space-name", "-n", "name", metavar="NAME", help="Space of the pipeline.")
@click.option("--registry-name", metavar="NAME", help="Registry of the space's images.  [default: NAME-registry]")
@click.option("--skip-registry", is_flag=True, help="Build no image; only update the space.")
@click.option(
    "--dockerfile-path", metavar="PATH", help="Dockerfile, relative to the repository's root.  [default: Dockerfile]"
)
@click.option(
    "--docker-context", metavar="PATH", help="Build context, relative to the repository's root.  [default: .]"
)
@click.option("--project", metavar="NAME", help="Project of the CI stack, for --target codebuild.")
@click.option(
    "--branch", metavar="NAME", help="Branch, or pattern of branches, whose pushes start the workflow.  [default: main]"
)
@click.option(
    "--role-arn",
    type=ROLE,
    metavar="ARN",
    help="Role that the workflow assumes; it has to trust the repository.  [default: the repository's secret AWS_ROLE_ARN]",
)
@click.option(
    "--environment",
    metavar="NAME",
    help="Environment on GitHub of the deployment, whose protection rules can require an approval.",
)
@click.option(
    "--preview",
    is_flag=True,
    help="Also write preview-NAME.yaml, which deploys each pull request as a space of its own.",
)
@click.option(
    "--preview-role-arn",
    type=ROLE,
    metavar="ARN",
    help="Role that the previews assume.  [default: the repository's secret AWS_PREVIEW_ROLE_ARN]",
)
@click.option("--region", metavar="NAME", help="AWS region.  [default: the repository's secret AWS_REGION]")
@click.option(
    "--package",
    metavar="TEXT",
    help="Package that pip installs in the workflow, such as git+https://…@COMMIT.  [default: the source of this installation, if that is a version "
    "from an index, a commit or an archive with its hash]",
)
@click.option(
    "--output-path",
    type=NonEmptyPath(path_type=Path),
    metavar="PATH",
    default="./.github/workflows",
    show_default=True,
    help="Directory of the file; created if missing.",
)
@check_option
@markdown_output_option
@log_level_option
def generate_pipeline(session: Session, target: str, output_path: Path, check: bool, **values: Any) -> None:
    """Generate the GitHub Actions workflow of a space or a CI stack.

    Writes ci-NAME.yaml, and with --preview also preview-NAME.yaml. Their runs assume an AWS role with a token of GitHub, so no keys are stored. Run the command in
    the repository's root.
    """
    from exasol_ci_setup.builds import workflows
    from exasol_ci_setup.cli.render import records
    from exasol_ci_setup.core import origin

    package = values.pop("package")
    create = _codebuild_workflow if target == "codebuild" else _space_workflow
    # Checks all values first; the example is never written.
    workflow = create({**values, "package": origin.EXAMPLE if package is None else package})
    workflow = replace(workflow, package=_package(session, output_path / workflow.file_name, package))
    pipelines = [workflow, *_previews(workflow, values)]
    files = [workflows.on_disk(each, output_path) for each in pipelines]
    stale = generated.write_or_show(session.output, files, check=check)
    for each in pipelines if not check else ():
        if each.role_arn is None:
            session.output.say(
                f"the role of the runs of {each.file_name} is the repository's secret {each.role_setting} (Settings, Secrets and variables, Actions)"
            )
    session.output.record(records.result(generated.status(stale, check=check), changed=bool(stale) and not check))
    if check:
        generated.require_same(stale, "generate-pipeline")


def _previews(workflow: SpaceWorkflow | BuildWorkflow, values: dict[str, Any]) -> list[PreviewWorkflow]:
    """Return the workflow for pull requests, if it is wanted."""
    from exasol_ci_setup.builds import workflows

    if not values["preview"]:
        if values["preview_role_arn"] is not None:
            raise InputError("--preview-role-arn needs --preview")
        return []
    if not isinstance(workflow, workflows.SpaceWorkflow) or workflow.registry is None:
        raise InputError("--preview needs a registry", hint="omit --skip-registry")
    return [
        workflows.PreviewWorkflow(
            branch=workflow.branch,
            role_arn=values["preview_role_arn"],
            region=workflow.region,
            package=workflow.package,
            space=workflow.space,
            registry=workflow.registry,
            dockerfile_path=workflow.dockerfile_path,
            docker_context=workflow.docker_context,
        )
    ]


def _package(session: Session, path: Path, chosen: str | None) -> str:
    from exasol_ci_setup.builds.workflows import package_of
    from exasol_ci_setup.core import origin

    package = package_of(path, chosen)
    if package is None:
        raise InputError(
            f"no package for {path} to install: this installation is not from an index, a commit or an archive with its hash",
            hint=f"name a commit: {session.again('--package', origin.EXAMPLE)}",
        )
    return package


def _space_workflow(values: dict[str, Any]) -> SpaceWorkflow:
    from exasol_ci_setup.builds.workflows import SpaceWorkflow

    if values["name"] is None:
        raise InputError("Missing option '--name'", hint="--name is the space of the pipeline")
    if values["project"] is not None:
        raise InputError("--project is for --target codebuild")
    if values["skip_registry"] and values["registry_name"] is not None:
        raise InputError("--skip-registry and --registry-name contradict each other")
    options = {
        name: value
        for name, value in values.items()
        if value is not None
        and name not in {"name", "project", "registry_name", "skip_registry", "preview", "preview_role_arn"}
    }
    registry = None if values["skip_registry"] else values["registry_name"] or f"{values['name']}-registry"
    return SpaceWorkflow(space=values["name"], registry=registry, **options)


def _codebuild_workflow(values: dict[str, Any]) -> BuildWorkflow:
    from exasol_ci_setup.builds.workflows import BuildWorkflow

    if values["project"] is None:
        raise InputError("Missing option '--project'", hint="--project is the project of the CI stack")
    for name in ("name", *_SPACE_OPTIONS):
        if values[name]:
            raise InputError(f"--{name.replace('_', '-')} is for --target space")
    options = {name: values[name] for name in ("project", "branch", "role_arn", "region", "package")}
    return BuildWorkflow(**{name: value for name, value in options.items() if value is not None})
