"""Fakes that we ship, so that others can test against p2pgrid without a network."""
