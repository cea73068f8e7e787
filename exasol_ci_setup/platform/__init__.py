"""Commands for a team's containers in its own account: space, storage, asset, secret and registry, exposed as modules of the package."""
