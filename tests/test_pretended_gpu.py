"""The pretended GPU: it refuses what a GPU refuses, computes what the processor computes, and
leaves nothing behind. What a real GPU must do as well is tried there too, where there is one."""

import copy
import io
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pretended_gpu import pretended_gpu as pretence
from pretended_gpu.tensors import OnGpu
from torch import nn

MIXED = "Expected all tensors to be on the same device"
GENERATOR = "Expected a '{}' device type for generator but found '{}'"
on_a_gpu = pytest.mark.usefixtures("gpu")


def there(*shape):
    return torch.ones(*shape, device="cuda")


# --- what is refused --------------------------------------------------------------------------

REFUSED = {
    "a sum": lambda: there(3) + torch.ones(3),
    "a sum, the other way": lambda: torch.ones(3) + there(3),
    "a number of the GPU": lambda: torch.ones(3) + there(3).sum(),
    "in place": lambda: there(3).add_(torch.ones(3)),
    "in place, the other way": lambda: torch.ones(3).mul_(there(1).sum()),
    "a product": lambda: there(2, 3) @ torch.ones(3, 2),
    "a layer": lambda: nn.Linear(3, 2)(there(1, 3)),
    "images": lambda: nn.Conv2d(1, 2, 3).to("cuda")(torch.ones(1, 1, 5, 5)),
    "joined": lambda: torch.cat([there(3), torch.ones(3)]),
    "stacked": lambda: torch.stack([there(3), torch.ones(3)]),
    "a choice": lambda: torch.where(there(3) > 0, there(3), torch.zeros(3)),
    "a condition": lambda: torch.where(torch.ones(3) > 0, there(3), there(3)),
    "a mask": lambda: there(3).masked_fill(torch.ones(3) > 0, 0.0),
    "labels": lambda: F.cross_entropy(there(2, 3), torch.tensor([0, 1])),
    "gathered": lambda: there(2, 3).gather(1, torch.zeros(2, 1).long()),
    "scattered": lambda: there(2, 3).scatter_add(1, torch.zeros(2, 1).long(), there(2, 1)),
    "rows": lambda: there(2, 3).index_select(0, torch.tensor([0])),
    "values put in": lambda: there(3).index_put((torch.tensor([0, 1]),), torch.ones(2)),
    "the same?": lambda: torch.equal(there(3), torch.ones(3)),
    "close?": lambda: torch.allclose(there(3), torch.ones(3)),
    "a solution": lambda: torch.linalg.solve(torch.eye(2).to("cuda"), torch.ones(2, 1)),
}


@on_a_gpu
@pytest.mark.parametrize("what", REFUSED)
def test_tensors_of_two_devices_are_refused(what):
    # torch's words differ with the operation; all of them speak of the device, or name it
    with pytest.raises(RuntimeError, match=r"same device|on cpu|cuda"):
        REFUSED[what]()


def test_the_pretended_sentence_is_torchs(pretended_gpu):
    with pytest.raises(RuntimeError, match=MIXED + ".*cuda:0 and cpu"):
        there(3) + torch.ones(3)
    assert pretended_gpu.operations > 0


@on_a_gpu
def test_no_array_is_made_of_what_lies_on_the_gpu():
    sentence = r"can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu\(\)"
    for convert in (torch.Tensor.numpy, np.asarray, np.array, np.linalg.norm):
        with pytest.raises(TypeError, match=sentence):
            there(3).numpy() if convert is torch.Tensor.numpy else convert(there(3))
    assert (there(3).cpu().numpy() == 1).all()
    assert (there(3).requires_grad_().numpy(force=True) == 1).all()


@on_a_gpu
def test_memory_is_not_shared_with_an_array():
    array = np.zeros(3, np.float32)
    moved = torch.from_numpy(array).to("cuda")
    array[0] = 5
    assert moved.tolist() == [0, 0, 0]
    back = moved.cpu()
    back[1] = 7
    assert moved.tolist() == [0, 0, 0]


@on_a_gpu
def test_a_generator_belongs_to_its_device():
    ours, theirs = torch.Generator(), torch.Generator("cuda").manual_seed(1)
    assert theirs.device.type == "cuda"
    assert theirs.initial_seed() == 1
    assert isinstance(ours, torch.Generator)
    assert isinstance(theirs, torch.Generator)
    for make in (
        lambda **where: torch.randn(3, **where),
        lambda **where: torch.randint(3, (2,), **where),
        lambda **where: torch.randperm(4, **where),
        lambda device="cpu", **kwargs: torch.ones(3, device=device).uniform_(**kwargs),
        lambda device="cpu", **kwargs: torch.multinomial(torch.ones(3, device=device), 2, **kwargs),
    ):
        with pytest.raises(RuntimeError, match=GENERATOR.format("cuda", "cpu")):
            make(device="cuda", generator=ours)
        with pytest.raises(RuntimeError, match=GENERATOR.format("cpu", "cuda")):
            make(generator=theirs)
        assert make(device="cuda", generator=theirs).is_cuda
        assert not make(generator=ours).is_cuda


@on_a_gpu
def test_an_index_of_the_processor_serves_both_sides_one_of_the_gpu_its_own():
    rows, mask = torch.tensor([0, 2]), torch.tensor([True, False, True])
    for index in (rows, mask):
        assert there(3)[index].tolist() == [1, 1]
        assert there(3)[index.to("cuda")].is_cuda
        with pytest.raises(RuntimeError, match="indices should be either on cpu or on the same"):
            torch.ones(3)[index.to("cuda")]
    x = there(3)
    x[rows] = 5.0
    x[mask] = torch.tensor(6.0)  # one number
    assert x.tolist() == [6, 1, 6]
    with pytest.raises(RuntimeError):
        torch.ones(3)[rows.to("cuda")] = 1.0


@on_a_gpu
def test_what_is_pinned_lies_on_the_processor():
    pinned = torch.ones(3).pin_memory()
    assert pinned.is_pinned()
    assert pinned.device.type == "cpu"
    assert not torch.ones(3).is_pinned()
    assert torch.zeros(2, pin_memory=True).is_pinned()
    assert not there(3).is_pinned()
    with pytest.raises(RuntimeError, match="only dense CPU tensors can be pinned"):
        there(3).pin_memory()
    with pytest.raises(RuntimeError, match="can be pinned"):
        torch.zeros(2, device="cuda", pin_memory=True)


@on_a_gpu
def test_a_saved_tensor_comes_back_to_where_it_was():
    file = io.BytesIO()
    torch.save({"there": there(2), "here": torch.ones(2), "list": [there(1)]}, file)
    for where, expected in ((None, "cuda"), ("cpu", "cpu"), ({"cuda:0": "cpu"}, "cpu")):
        file.seek(0)
        found = torch.load(file, map_location=where)
        assert found["there"].device.type == expected
        assert found["list"][0].device.type == expected
        assert found["here"].device.type == "cpu"
        assert found["there"].tolist() == [1, 1]


@pytest.mark.pretended_gpu
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_the_gpu_a_saved_tensor_needs_a_place():
    file = io.BytesIO()
    with pretence():
        torch.save(there(2), file)
    file.seek(0)
    with pytest.raises(RuntimeError, match="map_location"):
        torch.load(file)
    file.seek(0)
    assert torch.load(file, map_location="cpu").tolist() == [1, 1]


@on_a_gpu
def test_a_gradient_lies_with_its_tensor():
    x = there(2).requires_grad_()
    with pytest.raises(RuntimeError, match="device"):
        x.grad = torch.ones(2)


@on_a_gpu
def test_there_is_no_second_gpu():
    if torch.cuda.device_count() > 1:
        pytest.skip("there is one")
    with pytest.raises(RuntimeError, match="invalid device ordinal"):
        torch.zeros(1, device="cuda:1")
    with pytest.raises(RuntimeError, match="invalid device ordinal"):
        there(1).to("cuda:1")


def test_what_it_cannot_do_is_a_sentence(pretended_gpu):
    with pytest.raises(NotImplementedError, match="changes the shape in place"):
        there(3).resize_(5)
    with pytest.raises(NotImplementedError, match="another shape"):
        there(3).data = there(4)
    with pytest.raises(RuntimeError, match="one pretence at a time"), pretence():
        pass


# --- what is given ----------------------------------------------------------------------------


@on_a_gpu
def test_where_things_lie():
    x, ours = there(2, 3), torch.ones(2, 3)
    assert x.device == torch.device("cuda", 0)
    assert (x.is_cuda, x.is_cpu, x.get_device()) == (True, False, 0)
    assert x.type() == "torch.cuda.FloatTensor"
    assert isinstance(x, torch.Tensor)
    assert x.to("cuda") is x.cuda() is x.to(x.device, torch.float32) is x
    assert x.to("cuda", copy=True) is not x
    on_it = [
        x + 1, 2 / x, x[0], x.T, x.double(), x.new_zeros(2), x.new_tensor([1.0]), x.sum(),
        torch.zeros_like(x), torch.arange(3, device=x.device), torch.tensor([1], device="cuda"),
        torch.as_tensor([1.0], device=x.device), torch.rand_like(x), ours.to(x), ours.type_as(x),
        ours.cuda(), x + torch.tensor(2.0), torch.tensor(2.0) * x,
        torch.from_numpy(np.ones(2)).to(x),
        F.one_hot(torch.tensor([0, 1], device="cuda")), torch.linspace(0, 1, 3, device="cuda"),
        torch.func.vmap(lambda v: v.sum())(x), torch.linalg.svdvals(x), x.nonzero(), x.unbind()[0],
        torch.eye(2, device="cuda"), torch.where(x > 0, x, 0.0),
        torch.where(x > 0, x, torch.tensor(1.0)),
        torch.nn.utils.parameters_to_vector(nn.Linear(2, 2).to("cuda").parameters()),
    ]  # fmt: skip
    assert [t.device.type for t in on_it] == ["cuda"] * len(on_it)
    off_it = [x.cpu(), x.to("cpu"), x.to(ours), x.type_as(ours), torch.ones(2)]
    assert [t.device.type for t in off_it] == ["cpu"] * len(off_it)
    assert ours.copy_(x) is ours
    x[:, 0] = torch.zeros(2)  # a copy, as of torch's
    assert x.tolist() == [[0, 1, 1], [0, 1, 1]]
    assert (float(x.sum()), x.sum().item(), int(x.max()), bool(x[0, 1])) == (4, 4, 1, True)
    assert f"{x.sum():.1f}" == "4.0"
    assert "device='cuda:0'" in repr(x)
    with torch.device("cuda"):
        assert torch.ones(2).is_cuda
    assert torch.empty(2, device="meta").device.type == "meta"


@on_a_gpu
def test_gradients_cross_over():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = there(2).requires_grad_()
    ((x.to("cuda") * y).cpu() * torch.tensor([1.0, 3.0])).sum().backward()
    assert (x.grad.device.type, x.grad.tolist()) == ("cpu", [1, 3])
    assert (y.grad.device.type, y.grad.tolist()) == ("cuda", [1, 6])
    (slope,) = torch.autograd.grad(y.square().sum(), y, create_graph=True)
    assert torch.autograd.grad(slope.sum(), y)[0].tolist() == [2, 2]


@on_a_gpu
def test_views_share_their_memory():
    x = there(2, 3)
    x[0].zero_()
    x.T[1, 1] = 7
    assert x.tolist() == [[0, 0, 0], [1, 7, 1]]
    assert x.detach().data_ptr() == x.data_ptr() == x[0].data_ptr() != x.clone().data_ptr()
    flat = there(2, 3)
    for change in (lambda: flat.unsqueeze_(0), lambda: flat.transpose_(1, 2), flat.squeeze_):
        assert change() is flat
    flat[2, 0] = 4
    assert flat.tolist() == [[1, 1], [1, 1], [4, 1]]
    w = there(2).requires_grad_()
    y = w * 1
    y[0] = 3
    y.sum().backward()
    assert w.grad.tolist() == [0, 1]
    w.data = there(2) * 5
    w.data[1] = 6
    assert w.tolist() == [5, 6]


@on_a_gpu
def test_a_network_moves_there_and_back():
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)
    )
    net(torch.ones(2, 1, 5, 5))
    kept = net[0].weight
    before = {k: v.clone() for k, v in net.state_dict().items()}
    assert net.to("cuda") is net
    assert net[0].weight is kept
    assert isinstance(kept, nn.Parameter)
    assert {v.device.type for v in net.state_dict().values()} == {"cuda"}
    net(there(2, 1, 5, 5)).sum().backward()
    twin = copy.deepcopy(net).double()
    assert twin[0].weight.is_cuda
    assert isinstance(twin[0].weight, nn.Parameter)
    assert kept.grad.is_cuda
    twin.load_state_dict(net.cpu().state_dict())
    assert kept.grad.device.type == "cpu"
    assert twin[0].weight.is_cuda
    assert torch.equal(twin[0].weight.cpu().float(), before["0.weight"])


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_training_gives_what_the_processor_gives(optimizer, pretended_gpu):
    ends = []
    for where in ("cpu", "cuda"):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))
        x, y = torch.randn(20, 5), torch.arange(20) % 3
        net, x, y = net.to(where), x.to(where), y.to(where)
        steps = optimizer(net.parameters(), lr=0.1)

        def closure(net=net, x=x, y=y, steps=steps):
            steps.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            return loss

        for _ in range(5):
            steps.step(closure)
        ends.append([p.detach().cpu() for p in net.parameters()])
    for ours, theirs in zip(*ends, strict=True):
        assert torch.equal(ours, theirs)


def test_results_are_the_processors(pretended_gpu):
    torch.manual_seed(1)
    x, image = torch.randn(6, 5), torch.rand(2, 3, 8, 8)
    for function, value in (
        (torch.linalg.svdvals, x), (torch.fft.fft2, x), (lambda v: v @ v.T, x),
        (lambda v: v.softmax(1).topk(2).values, x), (lambda v: v.sort().indices, x),
        (lambda v: F.max_pool2d(F.conv2d(v, torch.ones_like(v)[:, :, :3, :3]), 2), image),
        (lambda v: torch.linalg.eigh(v.T @ v).eigenvalues, x), (lambda v: v.unique(), x.round()),
        (lambda v: torch.func.vmap(lambda r: r.sin().sum())(v), x),
    ):  # fmt: skip
        found = function(value.to("cuda"))
        assert found.is_cuda
        assert torch.equal(found.cpu(), function(value))


def test_random_numbers_have_a_stream_of_their_own(pretended_gpu):
    def draws(where):
        torch.manual_seed(3)
        return torch.rand(4, device=where), torch.nn.functional.dropout(torch.ones(9, device=where))

    again = [[t.tolist() for t in draws("cuda")] for _ in range(2)]
    assert again[0] == again[1]
    assert again[0] != [t.tolist() for t in draws("cpu")]
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    torch.rand(5, device="cuda")  # does not move the processor's
    assert torch.equal(torch.rand(3), expected)
    state = torch.cuda.get_rng_state_all()
    first = torch.rand(3, device="cuda")
    torch.cuda.set_rng_state_all(state)
    assert torch.equal(torch.rand(3, device="cuda"), first)
    with torch.random.fork_rng():
        torch.rand(3, device="cuda")


def test_the_questions_of_torch_cuda(pretended_gpu):
    cuda = torch.cuda
    assert cuda.is_available()
    assert cuda.is_initialized()
    assert (cuda.device_count(), cuda.current_device()) == (1, 0)
    assert cuda.get_device_name() == cuda.get_device_properties(0).name == "pretended GPU"
    assert cuda.get_device_capability() == (9, 0)
    cuda.synchronize()
    cuda.empty_cache()
    with cuda.device(0):
        before = cuda.memory_allocated()
        x = there(1000)
        view = x[3:]
        assert cuda.memory_allocated() == before + 4000
        free, total = cuda.mem_get_info()
        assert total - free == cuda.memory_allocated()
        del x, view
    assert cuda.memory_allocated() == before
    assert cuda.max_memory_allocated() == before + 4000
    cuda.reset_peak_memory_stats()
    assert cuda.max_memory_allocated() == before
    begin, end = (cuda.Event(enable_timing=True) for _ in range(2))
    with pytest.raises(ValueError, match="recorded"):
        begin.elapsed_time(end)
    begin.record()
    for _ in range(2000):
        there(1)
    end.record()
    end.synchronize()
    assert begin.elapsed_time(end) == 2.0  # a microsecond each


@pytest.mark.pretended_gpu
def test_a_small_memory_overflows():
    with pretence(memory=1000):
        there(250)
        with pytest.raises(torch.OutOfMemoryError, match="out of memory"):
            there(251)


# --- what is left -----------------------------------------------------------------------------


def everything():
    """What a pretence changes, and the state of the processor's random numbers."""
    names = {name: getattr(torch.cuda, name) for name in dir(torch.cuda)}
    return {
        **names,
        "Generator": torch.Generator,
        "load": torch.load,
        "swap": torch.__future__.get_swap_module_params_on_conversion(),
        "lift": torch._C._only_lift_cpu_tensors(),
        "modes": torch.utils._python_dispatch._get_current_dispatch_mode_stack(),
        "tf32": (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32),
        "numbers": (random.getstate(), torch.get_rng_state().tolist()),
    }


def fail_inside():
    with pretence():
        there(3)
        raise ValueError("inside")


@pytest.mark.pretended_gpu
def test_afterwards_everything_is_as_before():
    torch.manual_seed(0)
    before = everything()
    with pretence():
        torch.backends.cuda.matmul.allow_tf32 = not torch.backends.cuda.matmul.allow_tf32
        kept = torch.rand(3, device="cuda")
        nn.Linear(3, 3, device="cuda")(kept).sum().backward()
        assert everything() != before
    assert everything() == before
    with pytest.raises(ValueError, match="inside"):
        fail_inside()
    assert everything() == before
    with pytest.raises(RuntimeError, match=MIXED), pretence():
        there(3) + torch.ones(3)
    assert everything() == before
    assert (kept + 1).sum() > 3  # what is kept still computes
    assert not isinstance(torch.ones(2) + 1, OnGpu)
    x = torch.ones(2, requires_grad=True)
    x.square().sum().backward()
    assert x.grad.tolist() == [2, 2]


@pytest.mark.pretended_gpu
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_before_and_afterwards_there_is_no_gpu():
    for _ in range(2):
        # torch without CUDA says so, once it has pretended by not finding a kernel
        with pytest.raises((RuntimeError, AssertionError), match=r"NVIDIA driver|CUDA"):
            torch.zeros(1, device="cuda")
        with pretence():
            torch.zeros(1, device="cuda")
