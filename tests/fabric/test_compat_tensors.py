"""An owner's and a scientist's tensors by the old names, as in notebook 001."""

import re
from typing import Any

import numpy as np
import pytest
import torch

from p2pgrid import DomainClient
from p2pgrid.compat.tensors import PointerTensor, PrivateTensor, private_tensor

BIRTHS = [[1, 3.5, 47.3], [0, 3.7, 48.1], [0, 3.9, 50.0], [1, 4.1, 52.3], [0, 4.1, 49.7]]
DESCRIPTION = """Description:
                        This data presents the monthly birth records.

                        Columns:
                            Gender: 0 - Male, 1 - Female
                            Weight: in Kg
                            Height: in cm


                        Shape 5 * 3
                        """
PRINTED = """(Wrapper)>PrivateTensor>tensor([[ 1.0000,  3.5000, 47.3000],
        [ 0.0000,  3.7000, 48.1000],
        [ 0.0000,  3.9000, 50.0000],
        [ 1.0000,  4.1000, 52.3000],
        [ 0.0000,  4.1000, 49.7000]])"""


def _prepared() -> PrivateTensor:
    tensor = private_tensor(np.array(BIRTHS), allowed_users=("ana", "alice"))
    return tensor.tag("#February", "#birth-records").describe(DESCRIPTION)


def test_c41_tag_and_describe_give_the_same_tensor_back() -> None:
    tensor = private_tensor(BIRTHS)
    assert tensor.tag("#February").tag("#birth-records").describe(DESCRIPTION) is tensor
    assert tensor.tags == ("#February", "#birth-records")


@pytest.mark.parametrize("make", [np.array, torch.tensor, list], ids=["numpy", "torch", "list"])
def test_c41_the_chain_of_types_prints_to_the_owner(make: Any) -> None:
    assert repr(private_tensor(make(BIRTHS))) == PRINTED


def test_c49_what_was_sent_prints_as_a_pointer_without_values(owner: DomainClient) -> None:
    pointer = _prepared().send(owner, user="owner")
    assert re.fullmatch(
        r"\(Wrapper\)>\[PointerTensor \| me:\d{1,11} -> bob:\d{1,11}\]\n"
        r"\tTags: #february #birth-records \n"
        r"\tShape: torch.Size\(\[5, 3\]\)\n"
        r"\tDescription: Description:...",
        repr(pointer),
    )
    weights = pointer[:, 1]
    assert isinstance(weights, PointerTensor)
    chain = r"\(Wrapper\)>\[PointerTensor \| me:\d{1,11} -> bob:\d{1,11}\]"
    assert re.fullmatch(chain, repr(weights))
    assert "<table>" in weights._repr_html_()
