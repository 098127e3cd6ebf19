"""Fuzzing: every decoder that reads bytes from somebody else, and a live node's port.

``targets`` lists the targets; ``wire``, ``net`` and ``files`` hold them, each with its invariant in
its first sentence; ``mutation`` makes hostile bytes from valid ones; ``corpus/TARGET/`` keeps what
was worth keeping; ``run`` is the coverage-guided fuzzer; ``attacks`` go at a live node's port.
"""
