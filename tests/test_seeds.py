"""What a test draws without a seed of its own: the same alone and among the others."""

import random

import numpy as np
import pytest
import torch


def draws():
    return torch.rand(3).tolist(), random.random(), np.random.rand()  # noqa: NPY002


AT_IMPORT = draws()  # as files do that make networks for their parameters


@pytest.fixture(scope="module")
def kept():
    return draws()


@pytest.mark.parametrize("turn", range(2))
def test_a_test_draws_the_same_whatever_came_before(turn):
    assert draws() == AT_IMPORT


@pytest.mark.parametrize("turn", range(2))
def test_so_it_does_beside_a_fixture_of_the_file(turn, kept):
    assert draws() == kept == AT_IMPORT
