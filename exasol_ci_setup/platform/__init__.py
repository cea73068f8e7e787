"""Verbs for a team's containers on its own account: space, storage, asset, secret and registry, each a module that the package exposes."""
