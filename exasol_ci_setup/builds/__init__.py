"""Builds and batches of builds on CodeBuild: start, follow, read their logs, and explain failures."""
