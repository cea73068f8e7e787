"""Commands on other machines over SSH: keys, host keys, connections, and results."""
