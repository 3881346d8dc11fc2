"""What a check accepts becomes the same tensor, whatever form it has."""

import numpy as np
import pytest
import torch

from course_lib.exercises import as_tensor

EYE = torch.eye(2, dtype=torch.float64)


@pytest.mark.parametrize(
    "form",
    [
        EYE,
        EYE.numpy(),
        EYE.tolist(),
        EYE.to_sparse(),
        list(EYE),
        tuple(EYE.numpy()),
        [[EYE[0, 0], EYE[0, 1]], EYE[1].tolist()],
        EYE.clone().requires_grad_(),
        list(EYE.clone().requires_grad_() * 1),
    ],
    ids=repr,
)
def test_every_form_becomes_the_same_tensor(form):
    found = as_tensor(form)
    assert torch.equal(found, EYE)
    assert found.dtype == torch.float64
    assert not found.requires_grad
    assert found.layout == torch.strided


def test_numbers_truths_and_types_stay_unless_another_is_asked_for():
    assert as_tensor(0.1) == torch.tensor(0.1, dtype=torch.float64)
    assert as_tensor(np.float32(0.5)).dtype == torch.float32
    assert as_tensor([1, 2]).dtype == torch.int64
    assert as_tensor([True, False]).dtype == torch.bool
    assert as_tensor([1, 2], torch.float64).tolist() == [1.0, 2.0]
    assert as_tensor(EYE, device="meta").is_meta
    with pytest.raises(RuntimeError, match="equal size"):
        as_tensor([torch.ones(2), torch.ones(3)])
