"""Prints the list of operations: ``python -m p2pgrid.protocol.operations > docs/operations.md``."""

import sys

from p2pgrid.protocol.operations.listing import page

sys.stdout.write(page())
