"""Measurements against other tools, run side by side; none of them is a test."""
