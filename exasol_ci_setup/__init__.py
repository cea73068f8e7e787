"""From a repository's containers to a running service on AWS: the public library."""

from exasol_ci_setup.version import __version__

__all__ = ["__version__"]
