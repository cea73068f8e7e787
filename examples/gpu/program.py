"""A virtual machine with a GPU. Only one address can connect by SSH.

SSH_KEY is the path of a private key with its public key in `.pub` (default: ~/.ssh/id_ed25519). SSH_CIDR is the block of addresses that can
connect, such as that of your office.
"""

from __future__ import annotations

import os

from exasol_ci_setup import Instance, PolicyStatement, Scope

# Runs at the first boot, as root.
INSTALL_DRIVER = """\
#!/bin/sh
apt-get update && apt-get install --yes ubuntu-drivers-common && ubuntu-drivers install --gpgpu
"""


def hangar_run() -> None:
    """Deploy the machine."""
    scope = Scope(name="lab", region="eu-central-1", tags={"team": "research"})
    machine = Instance(
        scope=scope,
        name="gpu",
        instance_type="g4dn.xlarge",
        path_to_key=os.environ.get("SSH_KEY", "~/.ssh/id_ed25519"),
        ssh=True,
        ssh_cidr=os.environ.get("SSH_CIDR", "203.0.113.7/32"),
        disk_in_gib=200,
        # The address remains when the machine is stopped, which saves costs.
        elastic_ip=True,
        user_data=INSTALL_DRIVER,
        role_policy=[PolicyStatement(actions=["s3:GetObject"], resources=["arn:aws:s3:::my-training-data/*"])],
    )
    machine.deploy()
    print(f"ssh ubuntu@{machine.public_ip}")
