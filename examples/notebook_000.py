"""Notebook 000: a data scientist who starts with nothing but the name of a network.

``python examples/notebook_000.py`` starts three networks and three domains on this machine. Owners
publish figures about COVID of one schema; the scientist, in a home of her own, finds the networks,
then the data, opens an account with an e-mail address, and takes a mean home. Every block prints
what the notebook prints; the numbers are those of the nodes that run.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import p2pgrid as gr
from p2pgrid.client.dataset_model import prepare_dataset
from p2pgrid.client.launch import Kind
from p2pgrid.config import default_home
from p2pgrid.errors import GetNotPermittedError
from p2pgrid.protocol.columns import Column
from p2pgrid.protocol.schemas import DatasetSchema, TensorSchema

EMAIL, PASSWORD = "me@patrickcason.com", "correct horse battery"
DEATHS = DatasetSchema.of(
    "COVID-MORT-2",
    {
        "data": TensorSchema(
            "deaths",
            (
                Column("age", "float32", low=0, high=120, unit="years"),
                Column("stay", "float32", low=0, high=365, unit="days", description="in hospital"),
            ),
        )
    },
)
PUBLISHED = {
    "UCSF": ("COVID Mortality", "This is the official statistics for COVID deaths", 2019),
    "Atlanta": ("US COVID Deaths", "Nationally reported on a daily basis", 2020),
    "HCA": ("COVID Deaths", "With attributes including risk factors like diabetes", 2020),
}
"""By domain: what its owner calls the data, and says of it; when it was collected."""


def patients(seed: int, rows: int) -> dict[str, NDArray[np.float64]]:
    """Made up: ages and days in hospital."""
    draws = np.random.default_rng(seed).normal((74, 12), (9, 4), size=(rows, 2))
    return {"data": draws.clip(0, 120)}


def publish(domain: gr.Node, seed: int, *allowed: str) -> None:
    """What an owner does: all is checked against the schema before anything is sent."""
    name, description, collected = PUBLISHED[domain.name]
    owner = domain.connect()
    assert isinstance(owner, gr.DomainClient)
    prepared = prepare_dataset(
        name=name,
        tensors=patients(seed, 200),
        dev=patients(seed + 10, 30),
        schema=DEATHS,
        tags=("#covid", "#diabetes" if seed else "#diabetes-2"),
        description=description,
        metadata={"collected": collected},
    )
    owner.publish_dataset(prepared, allowed_users=allowed, progress=False)


def look_around(*more: gr.Node) -> None:
    """Steps 2 to 4: which networks there are, which accounts we have, and one network more."""
    print("\nNetworks that we know:", gr.networks, sep="\n")
    print("\nThe keys of our wallet:", gr.wallet.domain_keys, sep="\n")
    for network in more:
        print(f"\nOne more network, by its URL, {network.url}:")
        print(gr.save_network(network.url))
    print("\nNetworks that we know:", gr.networks, sep="\n")


def find() -> gr.DatasetPointer:
    """Step 5: a search in all its forms; each goes to all networks at once."""
    result = gr.search(anywhere="diabetes")
    assert gr.search(anywhere=["diabetes"]).counts == result.counts
    for form, words in (
        ("tags", "diabetes"),
        ("exact_tags", ["diabetes"]),
        ("description", "deaths COVID statistics"),
        ("description", ["statistics", "COVID", "deaths"]),
        ("name", "COVID"),
        ("exact_name", "MNIST"),
    ):
        found = gr.search(**{form: words})
        print(f"search({form}={words!r}): {', '.join(found) or 'nothing'}")
    print("\nAll that has to do with diabetes:", result, sep="\n")
    datasets = result.datasets(latest_version_only=True)
    print(datasets)
    return datasets["COVID Deaths"]


def sign_up(dataset: gr.DatasetPointer) -> None:
    """An account by e-mail and password; what comes home is still the owner's decision."""
    client = gr.connect(f"p2pgrid://{dataset.domain.peer_id}")
    assert isinstance(client, gr.DomainClient)
    print(f"\nSigned up at {client.name}:", client.signup(EMAIL, PASSWORD))
    means = dataset["data"].mean(axis=0)  # computed there: no data has moved
    print("A pointer:", means)
    try:
        means.get()
    except GetNotPermittedError as refused:
        print("Told:", refused)
    print("\nThe keys of our wallet:", gr.wallet.domain_keys, sep="\n")
    print("\nNetworks that we know:", gr.networks, sep="\n")


def take_home(name: str) -> None:
    """A number that its owner lets us have by now."""
    versions = gr.search(exact_name=name)
    print("\nIts owner has agreed, and published a version that names us:")
    print(versions.datasets())
    (newest,) = versions.datasets(latest_version_only=True)
    age, stay = newest["data"].mean(axis=0).get()
    print(f"Mean age: {age:.1f} years, mean stay: {stay:.1f} days")


def launch(kind: Kind, *names: str, client: gr.Client, **settings: Any) -> list[gr.Node]:
    """Nodes that share a few processes on this machine; each is a peer of its own."""
    return gr.launch(names, kind, isolation="packed", client=client, **settings)


def start(owners: gr.Client) -> list[gr.Node]:
    """Three networks, and three domains in them, which let everybody sign up."""
    networks = launch("network", "OpenGrid", "AMA", "CDC", client=owners)
    open_grid, ama, cdc = (network.address for network in networks)
    domains = launch("domain", "UCSF", "HCA", client=owners, networks=[ama], signup="open")
    # The third one is in two networks; searches list its data once all the same.
    both = [open_grid, cdc]
    domains += launch("domain", "Atlanta", client=owners, networks=both, signup="open")
    for seed, domain in enumerate(domains):
        publish(domain, seed)
    return [*networks, *domains]


def main(owners: gr.Client) -> None:
    """Starts everything, tells the notebook, and stops everything."""
    nodes = open_grid, ama, cdc, _, hca, _ = start(owners)
    try:
        # An institution may give its people a list of networks; this one has a single entry.
        default_home().mkdir()
        (default_home() / "bootstrap.json").write_text(json.dumps([open_grid.url]))
        look_around(cdc, ama)
        dataset = find()
        sign_up(dataset)
        publish(hca, 1, EMAIL)
        take_home(dataset.name)
    finally:
        gr.default_client().close()
        owners.close()
        gr.stop([node.directory for node in nodes])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        os.environ["P2PGRID_HOME"] = f"{directory}/scientist"
        main(gr.Client(Path(directory) / "owners"))
