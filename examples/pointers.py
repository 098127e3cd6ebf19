"""Linear regression on data that stay in a hospital: write numpy, take home what is allowed.

``python examples/pointers.py`` starts a domain on this machine, which stands for the hospital.
"""

import numpy as np

import p2pgrid
from p2pgrid.errors import ObjectGoneError, UnsupportedRemoteOpError

STEPS, RATE = 200, 0.5
OLD, HIGH = 60, 120


def regress(x: p2pgrid.TensorPointer, y: p2pgrid.TensorPointer) -> p2pgrid.TensorPointer:
    """Weights, shape (features,), after gradient descent; no step waits for the one before."""
    weights = x[0] * 0
    for _ in range(STEPS):
        error = x @ weights - y
        weights -= RATE * (x.T @ error) / x.shape[0]
    return weights


def research(x: p2pgrid.TensorPointer, y: p2pgrid.TensorPointer) -> None:
    """Computes in the hospital, and takes home what is needed."""
    weights = regress((x - x.mean(axis=0)) / x.std(axis=0), y - y.mean())
    print("shape is public:", weights.shape, "values are not:", weights)
    print("mean of the old:", float(y.mean(where=x[:, 0] > OLD).get()))
    print("old and high:", int(np.sum((x[:, 0] > OLD) & (y > HIGH)).get()))
    print("weights:", weights.get_copy().decode(), "still there:", weights.exists)
    weights.get()
    try:
        weights.get()
    except ObjectGoneError as gone:
        print("taken home:", gone)
    try:
        np.linalg.svd(x)
    except UnsupportedRemoteOpError as unsupported:
        print("not downloaded:", unsupported)


def main() -> None:
    """Publishes as the owner, then computes without touching the data."""
    numbers = np.random.default_rng(7)
    ages = numbers.uniform(20, 80, (100, 2))
    tensors = {"ages": ages, "pressure": ages @ [0.5, 0.2] + 90}
    hospital = p2pgrid.launch("hospital")
    try:
        owner = hospital.connect()
        assert isinstance(owner, p2pgrid.DomainClient)
        study = owner.publish("study", tensors)
        research(study["ages"], study["pressure"])
    finally:
        hospital.stop()


if __name__ == "__main__":
    main()
