"""Containers on this machine: containers for tests on request over HTTP, and the apps of one host."""
