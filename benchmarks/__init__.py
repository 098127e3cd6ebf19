"""Benchmarks: ``python -m benchmarks.NAME --json`` prints one JSON line last.

Each compares with a baseline measured in the same run, on the same machine, in turns.
"""
