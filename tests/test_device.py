"""One look-up of the device: right names, a smoke test, a fall back that says why."""

import numpy as np
import pytest
import torch

from course_lib import attacks, device


@pytest.fixture(autouse=True)
def _fresh():
    device._tested.cache_clear()
    yield
    device._tested.cache_clear()


@pytest.mark.parametrize("name", ["gpu", "cudaa", "", "cuda:x", "xla", "meta"])
def test_an_unknown_device_lists_the_names(name):
    with pytest.raises(ValueError, match="cpu, cuda, mps"):
        device.parse(name)


def test_the_variable_overrules(monkeypatch):
    monkeypatch.setenv("COURSE_DEVICE", "gpu")
    with pytest.raises(ValueError, match="COURSE_DEVICE"):
        device.pick()


def test_the_smoke_test_passes_on_a_cpu():
    assert device.smoke_test(torch.device("cpu")) is None


def test_a_device_that_raises_is_described(monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("CUDA error: no kernel image is available\nmore lines")

    monkeypatch.setattr(torch, "arange", broken)
    sentence = device.smoke_test(torch.device("cpu"))
    assert "no kernel image is available" in sentence
    assert "more lines" not in sentence


def test_a_device_that_computes_wrongly_is_described(monkeypatch):
    right = torch.nn.functional.conv2d
    monkeypatch.setattr(torch.nn.functional, "conv2d", lambda *a: right(*a) * 1.01)
    assert "computes wrongly" in device.smoke_test(torch.device("cpu"))


def test_a_missing_gpu_falls_back_with_a_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.warns(UserWarning, match=r"no device cuda on this machine.*goes on with the CPU"):
        assert device.pick("cuda") == torch.device("cpu")


def test_a_gpu_that_fails_falls_back_with_a_sentence(monkeypatch):
    monkeypatch.setattr(device, "_is_there", lambda d: True)
    monkeypatch.setattr(device, "smoke_test", lambda d: f"The device {d} failed.")
    with pytest.warns(UserWarning, match=r"The device cuda failed.*goes on with the CPU"):
        assert device.pick("cuda") == torch.device("cpu")


def test_a_working_gpu_has_no_tf32(monkeypatch):
    monkeypatch.setattr(device, "_is_there", lambda d: True)
    monkeypatch.setattr(device, "smoke_test", lambda d: None)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert device.pick("cuda").type == "cuda"
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_a_mac_defaults_to_the_cpu(monkeypatch):
    monkeypatch.delenv("COURSE_DEVICE")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device.pick() == torch.device("cpu")


def test_one_seed_seeds_everything():
    device.seed_everything(3)
    first = torch.rand(2), np.random.rand(2)
    device.seed_everything(3)
    assert torch.equal(first[0], torch.rand(2))
    np.testing.assert_array_equal(first[1], np.random.rand(2))


def is_flushed() -> bool:
    return bool(torch.tensor([2.0**-126]) * 0.25 == 0)  # 2^-126 is float32's smallest normal number


@pytest.mark.parametrize("before", [False, True])
def test_subnormal_numbers_are_given_back(before):
    if not torch.set_flush_denormal(before):
        pytest.skip("this processor cannot")
    try:
        with device.without_subnormals():
            assert is_flushed()
            with device.without_subnormals():
                assert is_flushed()
            assert is_flushed()
        assert is_flushed() == before
        with pytest.raises(KeyboardInterrupt), device.without_subnormals():
            raise KeyboardInterrupt
        assert is_flushed() == before
    finally:
        torch.set_flush_denormal(False)


def test_an_attack_has_no_subnormal_numbers_and_leaves_them_to_others():
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot")
    seen = []

    class Net(torch.nn.Module):
        def forward(self, images):
            seen.append(is_flushed())
            return images.flatten(1) @ torch.eye(4)[:, :3]

    x = torch.tensor([[0.9, 0.1, 0.2, 0.3]])
    attacks.minimal_adversarial(Net().eval(), x)
    assert seen
    assert all(seen)
    assert not is_flushed()


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with device.threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


@pytest.mark.usefixtures("gpu")
def test_the_smoke_test_passes_on_the_gpu():
    assert device.smoke_test(torch.device("cuda")) is None
