"""The registry of remote operations: the one place that says what can be computed.

An entry (``entry.Operation``) holds all that is known of an operation: its name, how many operands
it takes, the rule for shape and dtype of its result, the function on values, and the call as numpy
and torch write it. The client uses the rule to fail before it sends; the domain uses the rule again
and the function to compute. The methods of pointers, numpy's and torch's functions on pointers, and
the page ``docs/operations.md`` are made from the entries.

To add an operation, add one entry to the ``OPERATIONS`` of its family (``elementwise``,
``reductions``, ``statistics``, ``grouping``, ``shaping``, ``combining``, ``indexing``) and its
tests. A rule must decide from shapes, dtypes and public numbers alone: a value never makes an
error.
"""

from p2pgrid.protocol.operations.entry import (
    INTEGERS as INTEGERS,
    ArrayMeta as ArrayMeta,
    Bind as Bind,
    Call as Call,
    Dtype as Dtype,
    Operand as Operand,
    Operation as Operation,
    Params as Params,
    signature_of as signature_of,
)
from p2pgrid.protocol.operations.grouping import keys_for as keys_for
from p2pgrid.protocol.operations.indexing import private_index as private_index
from p2pgrid.protocol.operations.registry import (
    METHODS as METHODS,
    REGISTRY as REGISTRY,
    infer as infer,
    nearest as nearest,
    of_numpy as of_numpy,
    of_torch as of_torch,
    operation_named as operation_named,
    unsupported as unsupported,
)
