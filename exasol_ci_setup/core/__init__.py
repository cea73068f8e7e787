"""What every package uses: errors, clock, files, HTTP downloads, and the graph of tasks."""
