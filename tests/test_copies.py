"""Copies of networks in float64, whatever holds their weights; the network is left as it was."""

import threading
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from course_lib import attacks, identity, spectral
from course_lib.copies import in_double

SHAPE = (1, 4, 4)
IMAGES = torch.rand(7, *SHAPE, generator=torch.Generator().manual_seed(0))


def plain(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 5)).eval()


def attached(attach, seed=0):
    """A linear network whose weight torch works out before each forward."""
    net = plain(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's older ones are deprecated
        attach(net[1])
    net(IMAGES)
    return net.eval()


WEIGHTS = {
    "weight norm, older": weight_norm,
    "spectral norm, older": spectral_norm,
    "pruned": lambda layer: prune.l1_unstructured(layer, "weight", 0.3),
    "weight norm": parametrizations.weight_norm,
    "spectral norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
}


class WithALock(nn.Module):
    """What copy.deepcopy refuses."""

    def __init__(self, net):
        super().__init__()
        self.net, self.lock = net, threading.Lock()

    def forward(self, x):
        with self.lock:
            return self.net(x)


@torch.no_grad()
def effective(net):
    """The same network with a plain weight."""
    twin = plain()
    twin[1].weight.copy_(net[1].weight)
    twin[1].bias.copy_(net[1].bias)
    return twin


@pytest.mark.parametrize("attach", WEIGHTS.values(), ids=WEIGHTS)
def test_a_weight_that_is_worked_out_is_measured_as_it_is(attach):
    net = attached(attach)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    twin = effective(net)
    wanted = attacks.exact_minimum(twin, IMAGES)
    for found in (
        attacks.exact_minimum(net, IMAGES).distortion,
        attacks.exact_minimum(WithALock(net).eval(), IMAGES).distortion,
        attacks.minimal_adversarial(net, IMAGES).distortion.double(),
    ):
        torch.testing.assert_close(found, wanted.distortion, rtol=1e-3, atol=0)
    weight, bias = attacks.linear_map(net, SHAPE)
    torch.testing.assert_close(weight.float(), twin[1].weight.detach())
    torch.testing.assert_close(bias.float(), twin[1].bias.detach())
    assert spectral.lipschitz(net, SHAPE).product == pytest.approx(
        spectral.lipschitz(twin, SHAPE).product, rel=1e-5
    )
    after = net.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert before.keys() == after.keys()
    assert net(IMAGES).grad_fn is not None


@pytest.mark.parametrize("attach", WEIGHTS.values(), ids=WEIGHTS)
def test_a_weight_that_is_worked_out_is_part_of_the_key(attach):
    keys = {identity.digest(attached(attach, seed), SHAPE) for seed in (0, 0, 1)}
    assert len(keys) == 2
    assert identity.is_plain(attached(attach))


def test_a_hook_of_the_users_on_a_weight_of_torchs_is_no_key():
    net = attached(weight_norm)
    net[1].register_forward_pre_hook(lambda module, inputs: None)
    assert not identity.is_plain(net)
    with pytest.raises(TypeError, match="with hooks"):
        identity.digest(net, SHAPE)
    backward = plain()
    backward[1].register_full_backward_hook(lambda module, there, here: None)
    assert not identity.is_plain(backward)


def compiled_kinds():
    batch = torch.export.Dim("batch")
    return {
        "scripted": torch.jit.script(plain()),
        "traced": torch.jit.trace(plain(), IMAGES),
        "traced by torch.fx": torch.fx.symbolic_trace(plain()),
        "torch.compile": torch.compile(plain(), backend="eager"),
        "exported": torch.export.export(plain(), (IMAGES,), dynamic_shapes=({0: batch},)).module(),
        "with a lock": WithALock(plain()).eval(),
    }


def test_networks_that_were_compiled_are_copied_as_well():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        kinds = compiled_kinds()
    wanted = attacks.exact_minimum(plain(), IMAGES).distortion
    for name, net in kinds.items():
        double = in_double(net)
        assert {t.dtype for t in double.parameters()} == {torch.float64}, name
        assert {t.dtype for t in net.parameters()} == {torch.float32}, name
        with torch.no_grad():
            assert double(IMAGES.double()).dtype == torch.float64, name
        found = attacks.exact_minimum(net, IMAGES).distortion
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=0)


def test_the_exact_minimum_is_found_in_inference_mode():
    wanted = attacks.exact_minimum(plain(), IMAGES).distortion
    with torch.inference_mode():
        found = attacks.exact_minimum(plain(), IMAGES).distortion
        weight, _ = attacks.linear_map(plain(), SHAPE)
    assert torch.equal(found, wanted)
    assert not weight.is_inference()


def test_what_cannot_be_copied_is_told():
    class Single(nn.Module):
        def forward(self, weight):
            if weight.dtype != torch.float32:
                raise RuntimeError("expected scalar type Float")
            return 2 * weight

    net = plain()
    nn.utils.parametrize.register_parametrization(net[1], "weight", Single())
    for call in (in_double, lambda n: attacks.linear_map(n, SHAPE)):
        with pytest.raises(ValueError, match="cannot be copied in float64"):
            call(net)


def exported(training, *more):
    """An exported network: its mode is that of the export for good, and its flag says "train"."""
    net = nn.Sequential(*plain(), *more).train(training)
    batch = torch.export.Dim("batch", min=1, max=64)
    return torch.export.export(net, (IMAGES,), dynamic_shapes=({0: batch},)).module()


@pytest.mark.parametrize("more", [(), (nn.Dropout(0.5),), (nn.BatchNorm1d(5),)])
def test_an_exported_network_is_in_the_mode_of_its_export(more):
    net = exported(False, *more)
    assert net.training  # torch's flag, which its eval() refuses to change
    found = attacks.minimal_adversarial(net, IMAGES)
    twin = nn.Sequential(*plain(), *more).eval()
    torch.testing.assert_close(found.l2, attacks.minimal_adversarial(twin, IMAGES).l2)
    assert attacks.fgsm(nn.Sequential(net), IMAGES).success.shape == (7,)
    with pytest.raises(ValueError, match="was exported"):
        spectral.lipschitz(net, SHAPE)


@pytest.mark.parametrize("more", [nn.Dropout(0.5), nn.BatchNorm1d(5)])
def test_an_exported_network_in_train_mode_is_told_what_works(more):
    net = exported(True, more)
    for call in (attacks.minimal_adversarial, attacks.fgsm, attacks.deepfool):
        with pytest.raises(ValueError, match=r"exported in train mode.* export that"):
            call(net, IMAGES)
    with pytest.raises(ValueError, match="use the module that it was made from"):
        spectral.lipschitz(net, SHAPE)
