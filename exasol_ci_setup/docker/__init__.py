"""The Docker engine: one client for all callers, its errors, and the `docker` program for what only that can do."""
