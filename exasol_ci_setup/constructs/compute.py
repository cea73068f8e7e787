"""Virtual machines: one EC2 instance with Ubuntu and access over SSH."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

from pydantic import AfterValidator, Field, model_validator

from exasol_ci_setup.constructs.asset import FilePath
from exasol_ci_setup.constructs.network import Attached, Cidr
from exasol_ci_setup.constructs.policy import PolicyStatement
from exasol_ci_setup.constructs.runtime import Login, runtime
from exasol_ci_setup.constructs.values import Items, Value, between, malformed, matching, refusal
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Self

    from exasol_ci_setup.constructs.runtime import CommandResult

# The key types that EC2 imports: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/create-key-pairs.html.
_GROUPS_BY_DEFAULT: Final = 5
"""The default quota for each network interface: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html."""
_KEY_TYPES: Final = ("ssh-rsa", "ssh-ed25519")
# A family is letters, a generation, and attributes, where "g" means a Graviton processor:
# https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html.
# Grace processors are also ARM: https://docs.aws.amazon.com/ec2/latest/instancetypes/ac.html.
_ARM: Final = re.compile(r"a1\.|[a-z]+[0-9]+[a-z]*g[a-z]*(-[a-z0-9-]+)?\.|[a-z0-9]+-gb[0-9]+\.")
_MOST_USER_DATA: Final = 16 * 1024
"""Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html."""

# The names that AWS recommends for data volumes: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html.
_DEVICES: Final = tuple(f"/dev/sd{letter}" for letter in "fghijklmnop")

ImageId = Annotated[str, matching(r"ami-[0-9a-f]{8,17}", "use the id of an image (AMI), such as ami-0123456789abcdef0")]


def _is_user_data(text: str) -> str:
    if len(text.encode()) > _MOST_USER_DATA:
        raise malformed(f"use at most {_MOST_USER_DATA} bytes, the limit of EC2")
    return text


InstanceType = Annotated[
    str, matching(r"[a-z0-9][a-z0-9-]{0,30}\.[a-z0-9-]{1,30}", "use an instance type, such as t3.micro")
]


class InstanceVolume(Value):
    """A further encrypted disk of an instance, which has to be formatted and mounted in it.

    Its data is lost when the instance is replaced, unless `keep` is set: then the volume remains in the account until you delete it.
    """

    size_in_gib: Annotated[int, between(1, 16_384, "GiB"), Field(description="Size of the volume in GiB.")]
    snapshot_id: Annotated[
        Annotated[str, matching(r"snap-[0-9a-f]{8,17}", "use the id of a snapshot, such as snap-0123456789abcdef0")]
        | None,
        Field(description="Snapshot that the volume is created from. Default: an empty volume."),
    ] = None
    keep: Annotated[bool, Field(description="Keep the volume when the instance is replaced or deleted.")] = False


class Instance(Attached):
    """An EC2 instance with Ubuntu 24.04 and a public address. `disk_in_gib` is the size of its encrypted disk.

    An instance keeps its image. `update_image` replaces it if Canonical has published a newer one, and `image_id` sets another image.

    `path_to_key` is the private key of an SSH key pair, RSA or Ed25519. The public key is next to it in ``.pub``: only this file is read,
    and EC2 imports it. The instance is in the first of the subnets. Without `security_groups` it gets a security group without
    incoming traffic. `ssh` allows SSH from `ssh_cidr`, also through a security group of the instance.
    """

    template: ClassVar[str] = "instance.yaml.j2"
    known_first: ClassVar[frozenset[str]] = frozenset({"name", "stack", "instance_type", "path_to_key"})
    free_text: ClassVar[frozenset[str]] = frozenset({"user_data"})

    instance_type: Annotated[InstanceType, Field(description="Type of the instance, such as t3.micro.")]
    path_to_key: Annotated[FilePath, Field(description="SSH key; only its public key, FILE.pub, is read.")]
    ssh: Annotated[bool, Field(description="Allow SSH from `ssh_cidr`.")] = False
    ssh_cidr: Annotated[Cidr | None, Field(description="Addresses that can connect, such as 203.0.113.7/32.")] = None
    disk_in_gib: Annotated[int, between(8, 16_384, "GiB"), Field(description="Size of the encrypted disk in GiB.")] = 16
    volumes: Annotated[
        Items[InstanceVolume],
        Field(description="Further disks. Another list of volumes replaces the instance."),
    ] = ()
    image_id: Annotated[
        ImageId | None,
        Field(description="ID of the image (AMI). Default: Ubuntu 24.04, the newest image at the creation."),
    ] = None
    root_device: Annotated[
        Annotated[str, matching(r"/dev/(sda1|xvda)", "use /dev/sda1 or /dev/xvda")],
        Field(
            description="Device of the encrypted disk, which is the root device of the image: /dev/sda1 for Ubuntu, /dev/xvda for Amazon Linux."
        ),
    ] = "/dev/sda1"
    update_image: Annotated[
        bool, Field(description="Replace the instance if there is a newer image of Ubuntu; its disk is lost.")
    ] = False
    private: Annotated[bool, Field(description="Assign no public address. Commands connect to the private one.")] = (
        False
    )
    elastic_ip: Annotated[
        bool, Field(description="Assign an Elastic IP address, which remains when the instance is stopped or replaced.")
    ] = False
    user_data: Annotated[
        Annotated[str, AfterValidator(_is_user_data)] | None,
        Field(
            description="Script or cloud-init data for the first boot. Not for secrets: it is readable. Default: none."
        ),
    ] = None
    role_policy: Annotated[
        Items[PolicyStatement], Field(description="What programs on the instance are allowed to do on AWS.")
    ] = ()

    @model_validator(mode="after")
    def _opens_ssh_on_purpose(self) -> Self:
        if self.ssh and self.ssh_cidr is None:
            raise refusal("ssh needs ssh_cidr, the block of addresses that may connect, such as 203.0.113.7/32")
        if self.ssh_cidr is not None and not self.ssh:
            raise refusal("ssh_cidr has no effect without ssh")
        return self

    @model_validator(mode="after")
    def _options_agree(self) -> Self:
        if self.private and self.elastic_ip:
            raise refusal("a private instance has no Elastic IP address")
        if self.image_id is not None and self.update_image:
            raise refusal("update_image has no effect with image_id: set another image_id")
        if self.image_id is None and self.root_device != "/dev/sda1":
            raise refusal("another root_device needs image_id: that of Ubuntu is /dev/sda1")
        if len(self.volumes) > len(_DEVICES):
            raise refusal(f"use at most {len(_DEVICES)} volumes")
        return self

    @property
    def devices(self) -> tuple[tuple[InstanceVolume, str], ...]:
        """The volumes, each with the name of its device at EC2."""
        return tuple(zip(self.volumes, _DEVICES, strict=False))

    @property
    def static_parameters(self) -> dict[str, str]:
        """The image if it is set, and the security groups that are set by their ids."""
        return {**({"ImageId": self.image_id} if self.image_id is not None else {}), **super().static_parameters}

    @property
    def network_parameters(self) -> tuple[str, ...]:  # type: ignore[override] # a class has them for all of its constructs
        """The subnet, and the VPC if the instance has a security group of its own."""
        return ("VpcId", "SubnetId") if self.has_own_group else ("SubnetId",)

    @property
    def notes(self) -> tuple[str, ...]:
        """A note if the instance exceeds the default quota of security groups."""
        number = len(self.security_groups) + self.ssh
        if number <= _GROUPS_BY_DEFAULT:
            return ()
        return (
            f"the instance gets {number} security groups, and AWS accepts {_GROUPS_BY_DEFAULT} unless the quota of the account is higher",
        )

    @property
    def has_own_group(self) -> bool:
        """Whether the template creates a security group for the instance."""
        return self.ssh or not self.security_groups

    @property
    def ssh_cidr_property(self) -> str:
        """The name of the CloudFormation property for the address family of `ssh_cidr`."""
        return "CidrIpv6" if ":" in (self.ssh_cidr or "") else "CidrIp"

    @property
    def architecture(self) -> str:
        """The architecture of the image for the instance type, in Canonical's words: ``arm64`` or ``amd64``."""
        return "arm64" if _ARM.match(self.instance_type) else "amd64"

    @property
    def ami_parameter(self) -> str:
        """The public SSM parameter with Canonical's current image.

        Source: https://documentation.ubuntu.com/aws/aws-how-to/instances/find-ubuntu-images/.
        """
        return f"/aws/service/canonical/ubuntu/server/24.04/stable/current/{self.architecture}/hvm/ebs-gp3/ami-id"

    @property
    def private_key_file(self) -> Path:
        """The path of the private key."""
        path = Path(self.path_to_key).expanduser()
        return path.with_suffix("") if path.suffix == ".pub" else path

    @property
    def public_key(self) -> str:
        """The public key without its comment, which may contain a person's name.

        Raises InputError if it cannot be read, or is of a type that EC2 does not import.
        """
        path = self.private_key_file
        public = path.with_name(f"{path.name}.pub")
        try:
            words = public.read_text(encoding="utf-8").split()
        except (OSError, ValueError) as error:
            raise InputError(
                f"the public key {str(public)!r} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}",
                hint=f"to create it from the private key: ssh-keygen -y -f {path} > {public}",
            ) from error
        if len(words) < len(("type", "key")) or words[0] not in _KEY_TYPES or not _is_key(words[1], words[0]):
            raise InputError(
                f"{str(public)!r} contains no RSA or Ed25519 public key, the only kinds that EC2 imports",
                hint=f"to create a new pair: ssh-keygen -t ed25519 -f {path}",
            )
        return f"{words[0]} {words[1]}"

    @property
    def key_name(self) -> str:
        """The name of the imported key pair. It depends on the key, because EC2 identifies key pairs by name."""
        return f"{self.stack_name}-{hashlib.sha256(self.public_key.encode()).hexdigest()[:12]}"

    @property
    def public_ip(self) -> str:
        """The current public address.

        Raises InputError before the stack is deployed and for a private instance, and StackError if the instance has none.
        """
        if self.private:
            raise InputError(f"Instance {self.name!r} is private", hint="use private_ip")
        return runtime().public_ip(self)

    @property
    def private_ip(self) -> str:
        """The private address of a private instance, which never changes. Raises InputError before the stack is deployed."""
        return self.output("PrivateIp")

    def run_command(
        self,
        command: str,
        *,
        user: str = "ubuntu",
        port: int = 22,
        timeout: float | None = None,
        boot_timeout: float = 300.0,
        jump: str | None = None,
    ) -> CommandResult:
        """Run a shell command on the instance over SSH as `user`, and return its output and its exit status, whatever it is.

        `timeout` is in seconds for the command, `boot_timeout` in seconds for the instance to boot. `jump` names hosts to connect through, as
        `ssh -J` does: ``[USER@]HOST[:PORT],…``. The instance's key is pinned at the first connection, in one file for the whole scope. Raises
        InputError before the instance is deployed, an SSHError, or TimedOutError.
        """
        [result] = self.run_commands(
            [command], user=user, port=port, timeout=timeout, boot_timeout=boot_timeout, jump=jump
        )
        return result

    def run_commands(
        self,
        commands: Iterable[str],
        *,
        user: str = "ubuntu",
        port: int = 22,
        timeout: float | None = None,
        boot_timeout: float = 300.0,
        jump: str | None = None,
    ) -> Iterator[CommandResult]:
        """Run shell commands sequentially over one connection, and yield for each the result of `run_command`.

        Each command starts when its result is requested. After a failed command the next one still runs.
        """
        return runtime().run_commands(self, commands, Login(user, port, timeout, boot_timeout, jump))


def _is_key(text: str, kind: str) -> bool:
    try:
        # The key starts with its type, after four bytes for its length: https://www.rfc-editor.org/rfc/rfc4253#section-6.6.
        return base64.b64decode(text, validate=True).startswith(len(kind).to_bytes(4, "big") + kind.encode())
    except (binascii.Error, ValueError):
        return False
