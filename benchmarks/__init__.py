"""Claims about speed, each measured as a ratio against a named peer in the same run: `python -m benchmarks.NAME`."""
