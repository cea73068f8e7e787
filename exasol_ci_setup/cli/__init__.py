"""The command line: the one place that asks, prints and exits."""
