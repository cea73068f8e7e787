"""Output of the commands: text, tables and JSON records."""
