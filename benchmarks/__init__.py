"""Benchmarks that compare the program with other tools. They are not tests."""
