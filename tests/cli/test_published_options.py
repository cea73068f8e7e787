"""The options of naas-python 1.4.4, which each command of the same name has to accept."""

from __future__ import annotations

import click
import pytest

from exasol_ci_setup.cli.main import cli

OPTIONS = {
    "asset create": "--content-disposition --object --object-version --password --rich-preview --storage --visibility --workspace-id -cd -o -ov -p -rp -s -vis -w",
    "asset get": "--asset-id --rich-preview --workspace-id -id -rp -w",
    "asset update": "--asset-id --content-disposition --password --rich-preview --visibility --workspace-id -cd -id -p -rp -vis -w",
    "asset delete": "--asset-id --rich-preview --workspace-id -id -rp -w",
    "registry create": "--name --rich-preview -n -rp",
    "registry list": "--rich-preview -rp",
    "registry get": "--name --rich-preview -n -rp",
    "registry delete": "--name -n",
    "registry get-credentials": "--name -n",
    "registry docker-login": "--name -n",
    "secret create": "--name --rich-preview --value -n -rp -v",
    "secret bulk-create": "--secrets",
    "secret get": "--name --rich-preview -n -rp",
    "secret delete": "--name -n",
    "secret list": "--rich-preview -rp",
    "space create": "--cpu --domain --env --image --memory --name --port --rich-preview -d -n -rp",
    "space get": "--name --rich-preview -n -rp",
    "space update": "--cpu --domain --env --image --memory --name --port --rich-preview -d -n -rp",
    "space delete": "--name -n",
    "space list": "--rich-preview -rp",
    "space add": "--ci-type --container-port --cpu --docker-context --dockerfile-path --generate-ci --image --image-tag --memory --registry-name --skip-registry --space-name --space-type -c -cp -ct -dc -dfp -gci -i -it -m -sn -sr -st",
    "storage create": "--rich-preview --storage --workspace -rp -s -w",
    "storage delete": "--rich-preview --storage --workspace -rp -s -w",
    "storage list": "--rich-preview --workspace -rp -w",
    "storage list-object": "--prefix --rich-preview --storage --workspace -p -rp -s -w",
    "storage delete-object": "--object --rich-preview --storage --workspace -o -rp -s -w",
    "storage connect": "--rich-preview --storage --workspace -rp -s -w",
    "storage put-object": "--destination --rich-preview --source --storage --workspace -dst -rp -s -src -w",
    "storage get-object": "--destination --rich-preview --source --storage --workspace -dst -rp -s -src -w",
}


@pytest.mark.parametrize("name", OPTIONS)
def test_command_accepts_published_options(name):
    command: click.Command = cli
    for word in name.split():
        command = command.get_command(click.Context(command), word)  # type: ignore[attr-defined]
    accepted = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}

    assert {*OPTIONS[name].split()} <= accepted
