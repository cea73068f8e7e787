"""Containers on this machine: those that testers ask for over HTTP, and the apps of one host."""
