"""The version of the package, in its own module so that `--version` and the build can read it without further imports."""

__version__ = "0.1.0"
