"""An instance of which a test decides where it is."""

from __future__ import annotations

from exasol_ci_setup import Instance


class PlacedInstance(Instance):
    """An instance whose address is an output, so that no test calls EC2."""

    @property
    def public_ip(self) -> str:
        """The output of the stack."""
        return self.output("PublicIp")
