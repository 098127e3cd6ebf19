"""What users would write without p2pgrid; written once, for all benchmarks, and not slowed down."""
