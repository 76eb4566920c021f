"""Measurements of kseg: scripts, and `python -m benchmarks`, which compares it with other libraries."""
