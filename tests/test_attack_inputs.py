"""What the attack refuses, what it keeps apart, and what an interruption leaves."""

import functools
import re

import pytest
import torch
from torch import nn

from course_lib import attacks
from course_lib.attacks import checking, measures, minimal
from course_lib.attacks.minimal import minimal_adversarial

DOUBLE = torch.float64


class Function(nn.Module):
    """A module without parameters out of any function."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.eval()

    def forward(self, x):
        return self.function(x)


def mlp(pixels: int = 12, classes: int = 4, seed: int = 0, width: int = 16, unit=nn.Sigmoid):
    rng = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(pixels, width), unit(), nn.Linear(width, classes))
    with torch.no_grad():
        for layer, middle in ((net[1], 0.5), (net[3], net[2](torch.zeros(1)))):
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=rng))
            layer.bias.copy_(-layer.weight.sum(1) * middle)  # the grey image is a tie of all
    return net.eval()


def pixels(n: int = 6, *shape, seed: int = 1) -> torch.Tensor:
    return torch.rand(n, *(shape or (12,)), generator=torch.Generator().manual_seed(seed))


def others(net, x, step: int = 1) -> torch.Tensor:
    with torch.no_grad():
        logits = net(x)
    return (logits.argmax(1) + step) % logits.shape[1]


def never(net_output_of: int):
    """A network that never gives the class: its logit lies far below the others' everywhere."""
    net = mlp()
    with torch.no_grad():
        net[-1].weight[net_output_of] = 0
        net[-1].bias[net_output_of] = -1e3
    return net


# --- refused, with a sentence -----------------------------------------------------------------


def refused(error, sentence, net=None, images=None, *arguments, **settings):
    """The call raises ``error`` with the ``sentence``, a whole one, and attacks nothing."""
    net = mlp() if net is None else net
    images = pixels() if images is None else images
    with pytest.raises(error, match=sentence) as raised:
        minimal_adversarial(net, images, *arguments, **settings)
    assert raised.type is error
    assert re.fullmatch(r"[A-Z].{20,}[.)]", str(raised.value), re.DOTALL), raised.value


@pytest.fixture(autouse=True)
def _no_attack_before_the_checks(request, monkeypatch):
    if "refused" in request.function.__name__:

        def attacked(*arguments, **settings):
            raise AssertionError("attacked before everything was checked")

        monkeypatch.setattr(minimal, "_attack", attacked)


def test_a_target_that_is_the_label_is_refused():
    net, x = mlp(), pixels()
    targets, labels = others(net, x), others(net, x, 0)
    targets[2] = labels[2]
    refused(ValueError, r"target of image 2 is its own label", net, x, targets)
    refused(ValueError, r"target of image 2 is its own label", net, x, targets, labels)
    every = r"target of images 0, 1, 2, 3, 4 and 1 more is its own label"
    refused(ValueError, every, net, x, labels)


@pytest.mark.parametrize("bad", [4, -1, 10])
def test_targets_and_labels_out_of_range_are_refused(bad):
    net, x = mlp(), pixels()
    targets = others(net, x)
    targets[0] = bad
    refused(ValueError, r"targets must be classes from 0 to 3", net, x, targets)
    refused(ValueError, r"labels must be classes from 0 to 3", net, x, None, targets)


def test_targets_and_labels_of_the_wrong_length_or_type_are_refused():
    net, x = mlp(), pixels()
    targets = others(net, x)
    refused(
        ValueError, r"targets have the shape \(5,\), but there are 6 images", net, x, targets[1:]
    )
    refused(ValueError, r"labels have the shape \(5,\)", net, x, targets, targets[1:])
    refused(ValueError, r"targets have the shape \(6, 1\)", net, x, targets[:, None])
    refused(ValueError, r"targets have the shape \(\)", net, x, 3)
    refused(TypeError, r"targets must be whole numbers", net, x, targets.float())
    refused(TypeError, r"labels must be whole numbers", net, x, None, targets.bool())


def test_images_that_are_none_are_refused():
    x = pixels()
    refused(ValueError, r"pixels in \[0, 1\]; these go from .* to 255", None, x / x.max() * 255)
    refused(ValueError, r"pixels in \[0, 1\]; these go from -0.5", None, x - x.min() - 0.5)
    refused(ValueError, r"pixels in \[0, 1\]", None, x + 1e-3 * (x == x.max()) + 1 - x.max())
    refused(TypeError, r"floating-point type.*255", None, (255 * x).byte())
    refused(TypeError, r"must be a torch tensor, not ndarray", None, x.numpy())
    refused(ValueError, r"a single image needs a batch axis", None, x[0])
    refused(ValueError, r"NaN or an infinity", None, torch.where(x == x.max(), torch.nan, x))
    refused(ValueError, r"no images to attack", None, x[:0])


def test_a_network_that_is_none_is_refused():
    refused(TypeError, r"must be a torch module, not function", lambda x: x)


def test_a_network_that_returns_nan_is_refused_and_told_so():
    x = pixels()
    refused(
        ValueError,
        r"not finite \(NaN or infinity\) for 6 of 6",
        Function(lambda v: v * torch.nan),
        x,
    )
    some = Function(lambda v: torch.where(v[:, :1] > 0.5, torch.nan, v))
    count = int((x[:, 0] > 0.5).sum())
    assert 0 < count < 6
    refused(ValueError, rf"not finite \(NaN or infinity\) for {count} of 6", some, x)
    refused(ValueError, rf"not finite \(NaN or infinity\) for {count} of 6", some, x, chunk=1)
    broken = mlp()
    with torch.no_grad():
        broken[1].weight[0, 0] = torch.nan
    refused(ValueError, r"not finite", broken, x)
    refused(ValueError, r"not finite", Function(lambda v: v / 0), x)


def test_probabilities_are_refused():
    net = mlp()
    refused(
        ValueError,
        r"probabilities.*leave out the softmax",
        nn.Sequential(net, nn.Softmax(1)).eval(),
    )
    refused(ValueError, r"probabilities", Function(lambda v: v.softmax(1)), pixels(1))
    double = nn.Sequential(net.double(), nn.Softmax(1)).eval()
    refused(ValueError, r"probabilities", double)


def test_log_probabilities_and_sigmoids_are_no_probabilities():
    net, x = mlp(), pixels()
    minimal_adversarial(nn.Sequential(net, nn.LogSoftmax(1)).eval(), x)
    minimal_adversarial(nn.Sequential(net, nn.Sigmoid()).eval(), x)


def test_train_mode_is_refused_and_the_part_named():
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.Dropout(0.5))
    refused(ValueError, r"train mode \(the network\).*net\.eval\(\)", net)
    net.eval()[2].train()
    refused(ValueError, r"train mode \(2\).*net\.eval\(\)", net)


def test_a_network_that_changes_its_answer_is_refused():
    noisy = Function(lambda v: v + 1e-3 * torch.randn_like(v))
    refused(ValueError, r"changes its answer from call to call", noisy)
    dropping = Function(lambda v: nn.functional.dropout(v, 0.5))
    refused(ValueError, r"changes its answer from call to call", dropping)


def test_an_output_that_is_no_logits_is_refused():
    refused(
        ValueError,
        r"logits \(N, classes\).*for 6 images it returned the shape \(6,\)",
        Function(lambda v: v[:, 0]),
    )
    refused(ValueError, r"at least two classes", Function(lambda v: v[:, :1]))
    refused(ValueError, r"logits \(N, classes\)", Function(lambda v: v.mean(0, keepdim=True)))
    refused(TypeError, r"float tensor of logits", Function(lambda v: v.argmax(1)))
    refused(TypeError, r"float tensor of logits", Function(lambda v: (v, v)))


def test_a_network_that_does_not_look_at_the_images_is_refused():
    fixed = torch.arange(4.0)
    refused(
        ValueError, r"(?i)gradient|does not depend", Function(lambda v: fixed.expand(len(v), 4))
    )
    net = mlp()
    refused(ValueError, r"(?i)gradient|does not depend", Function(lambda v: net(v).detach()))


def test_unknown_names_and_settings_are_refused():
    refused(
        ValueError,
        r"no loss called 'hinge': use one of margin, cross-entropy, sharpened",
        loss="hinge",
    )
    refused(ValueError, r"no norm called 'linf': use one of squared, l2", norm="linf")
    refused(ValueError, r"margin must not be negative; it is -0\.1", margin=-0.1)
    refused(ValueError, r"margin must not be negative", margin=float("nan"))
    refused(ValueError, r"steps and the chunk must be at least 1", steps=0)
    refused(ValueError, r"steps and the chunk must be at least 1", chunk=0)
    refused(ValueError, r"'margin' has no setting 'precision'", precision=1e-3)


@pytest.mark.parametrize("loss", ["cross-entropy", "sharpened", lambda z, t: z[:, 0]])
def test_an_unknown_setting_of_the_penalty_method_is_refused(loss):
    refused(ValueError, r"no setting.*'colour'", loss=loss, colour=1)


# --- failures and what is there already -------------------------------------------------------


@pytest.mark.parametrize("loss", ["margin", "cross-entropy", "sharpened"])
def test_a_class_that_no_image_reaches_is_a_failure(loss):
    net, x = never(3), pixels()
    settings = {} if loss == "margin" else {"budget": 300}
    found = minimal_adversarial(net, x, [3] * len(x), loss=loss, **settings)
    assert found.reasons() == ["failed"] * len(x)
    assert not found.success.any()
    assert torch.equal(found.images, x)
    assert found.distortion.isnan().all()
    assert found.c.isnan().all()
    assert (found.overshoot < -900).all()
    assert found.targets.tolist() == [3] * len(x)
    assert torch.isnan(torch.tensor(found.mean_distortion()))
    assert "0 of 6" in repr(found)


def test_a_class_out_of_reach_among_others_takes_nothing_from_them():
    net, x = never(3), pixels(20)
    found = minimal_adversarial(net, x)
    assert found.success.all()
    assert (found.targets != 3).all()
    targets = torch.where(torch.arange(20) % 2 == 0, 3, (net(x).argmax(1) + 1) % 3)
    some = minimal_adversarial(net, x, targets)
    assert torch.equal(some.success, targets != 3)
    alone = minimal_adversarial(net, x[1::2], targets[1::2])
    assert torch.allclose(some.distortion[1::2], alone.distortion, rtol=1e-3)
    assert some.mean_distortion() == pytest.approx(alone.mean_distortion(), rel=1e-3)


@pytest.mark.parametrize("loss", ["margin", "cross-entropy", "sharpened"])
@pytest.mark.parametrize("norm", ["squared", "l2"])
def test_a_tie_is_no_success(loss, norm):
    # logits that are all 0: no class leads, and nothing can change that
    dead = Function(lambda v: 0 * v)
    found = minimal_adversarial(dead, pixels(3), [2, 3, 1], loss=loss, norm=norm)
    assert not found.success.any()
    assert found.reasons() == ["no gradient to follow"] * 3
    # a black image and no biases: all logits are 0 there, but not beside it
    weight = torch.randn(12, 4, generator=torch.Generator().manual_seed(3))
    found = minimal_adversarial(
        Function(lambda v: v @ weight), torch.zeros(3, 12), [1, 2, 3], loss=loss, norm=norm
    )
    reached = found.images[found.success] @ weight
    assert torch.equal(reached.argmax(1), found.targets[found.success])
    assert (found.images[found.success] != 0).any(1).all()
    if loss == "margin":
        assert found.success.all()


def test_with_no_margin_at_all_a_success_is_still_one():
    net, x = mlp(), pixels(40)
    found = minimal_adversarial(net, x, others(net, x), margin=0.0)
    assert found.success.all()
    assert torch.equal(net(found.images).argmax(1), found.targets)
    assert (found.overshoot > 0).all()


def test_what_is_there_already_stays_and_is_kept_apart():
    net, x = mlp(), pixels(20)
    labels = net(x).argmax(1)
    wrong = torch.arange(20) < 5
    given = torch.where(wrong, (labels + 1) % 4, labels)
    targets = torch.where(wrong, labels, (labels + 2) % 4)  # the mistake itself, and another class
    for aim in (targets, None):
        found = minimal_adversarial(net, x, aim, given)
        assert found.reasons()[:5] == ["already there"] * 5
        assert torch.equal(found.images[:5], x[:5])
        assert (found.distortion[:5] == 0).all()
        assert found.success.all()
        assert torch.equal(found.targets[:5], labels[:5])
        assert (found.evaluations[:5] == 0).all()
        assert (found.overshoot > 0).all()  # of every image, these too
        assert torch.equal(found.clean, ~wrong)
        assert torch.equal(found.labels, given)
        assert torch.equal(found.predictions, labels)
        # not a 0 in any mean
        assert found.mean_distortion() == pytest.approx(float(found.distortion[5:].double().mean()))
        assert "15 of 15" in repr(found)
        assert "5 misclassified" in repr(found)


def test_a_misclassified_image_with_another_target_is_attacked_and_kept_apart():
    net, x = mlp(), pixels(8)
    labels = net(x).argmax(1)
    found = minimal_adversarial(net, x, (labels + 2) % 4, (labels + 1) % 4)
    assert (found.distortion > 0).all()
    assert not found.clean.any()
    assert torch.isnan(torch.tensor(found.mean_distortion()))
    same = minimal_adversarial(net, x, (labels + 2) % 4)
    assert torch.equal(found.images, same.images)


# --- what an interruption leaves, and going on ------------------------------------------------


def interrupted(net, k: int):
    """The same network, but the user presses Ctrl-C at its k-th call."""
    calls = [0]

    def call(x):
        calls[0] += 1
        if calls[0] == k:
            raise KeyboardInterrupt
        return net(x)

    return Function(call), calls


def first_call(net, x) -> int:
    """The number of the attack's own first call, after those of the checks."""
    counting, calls = interrupted(net, -1)
    checking.check_net(counting, x, len(x))
    return calls[0] + 1


@pytest.mark.parametrize("loss", ["margin", "cross-entropy", "sharpened"])
@pytest.mark.parametrize("aim", ["targets", "nearest"])
def test_an_interrupted_run_goes_on_where_it_was(loss, aim):
    net, x = mlp(), pixels(10)
    targets = others(net, x) if aim == "targets" else None
    run = functools.partial(minimal_adversarial, images=x, targets=targets, loss=loss, chunk=4)
    counting, calls = interrupted(net, -1)
    whole = run(counting)
    stopping, _ = interrupted(net, 8 + (calls[0] - 8) // 2)
    part = run(stopping)
    left = torch.tensor([reason == "interrupted" for reason in part.reasons()])
    assert 0 < int(left.sum()) < 10
    assert torch.equal(part.images[left], x[left])
    assert not part.success[left].any()
    assert part.distortion[left].isnan().all()
    assert f"{int(left.sum())} interrupted" in repr(part)
    for name in ("images", "success", "distortion", "c", "status", "targets", "evaluations"):
        ours, theirs = getattr(part, name)[~left], getattr(whole, name)[~left]
        assert torch.equal(ours.nan_to_num(-1), theirs.nan_to_num(-1)), name
    done = run(net, resume=part)
    assert "interrupted" not in done.reasons()
    assert torch.equal(done.images[~left], part.images[~left])
    assert torch.allclose(done.distortion, whole.distortion, rtol=2e-3)
    assert torch.equal(done.targets, whole.targets)
    # nothing is left to do: only the checks call the network
    counting, calls = interrupted(net, -1)
    again = run(counting, resume=done)
    assert torch.equal(again.images, done.images)
    checks, number = interrupted(net, -1)
    checking.check_net(checks, x, 4)
    assert calls[0] == number[0]


def test_an_interrupt_from_the_bar_and_one_at_the_first_call(monkeypatch):
    net, x = mlp(), pixels(9)

    class Bar:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def update(self, n):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(minimal, "progress_bar", lambda *a: Bar())
        part = minimal_adversarial(net, x, others(net, x), chunk=3)
    assert part.reasons()[3:] == ["interrupted"] * 6
    assert part.success[:3].all()
    nothing = minimal_adversarial(interrupted(net, first_call(net, x))[0], x, others(net, x))
    assert nothing.reasons() == ["interrupted"] * 9


def test_progress_is_shown_when_asked_for(capsys):
    net, x = mlp(), pixels(9)
    minimal_adversarial(net, x, others(net, x), progress=True)
    shown = capsys.readouterr().err
    minimal_adversarial(net, x, others(net, x))
    assert "adversarial examples" in shown
    assert capsys.readouterr().err == ""


def test_a_result_of_another_call_is_not_gone_on_with():
    net, x = mlp(), pixels(6)
    targets = others(net, x)
    part = minimal_adversarial(interrupted(net, first_call(net, x))[0], x, targets)
    go_on = functools.partial(refuses, part)
    go_on(net, x.flip(0), targets.flip(0))
    go_on(net, x[:5], targets[:5])
    go_on(net, x, others(net, x, 2))
    go_on(net, x)
    go_on(net, x, targets, loss="cross-entropy")
    go_on(net, x, targets, norm="l2")
    go_on(net, x, targets, eight_bit=True)
    go_on(net, x, targets, margin=0.1)
    go_on(net, x, targets, steps=7)
    go_on(net.double(), x.double(), targets)


def test_a_result_with_other_labels_or_of_another_network_is_not_gone_on_with():
    net, x = mlp(), pixels(6)
    part = minimal_adversarial(interrupted(net, first_call(net, x))[0], x)
    refuses(part, net, x, None, others(net, x, 2))
    refuses(part, mlp(seed=5), x)
    targets = others(net, x)
    part = minimal_adversarial(interrupted(net, first_call(net, x))[0], x, targets)
    refuses(part, net, x, targets, others(net, x, 2))


def refuses(part, net, x, *arguments, **settings):
    with pytest.raises(ValueError, match="to resume belongs to another call"):
        minimal_adversarial(net, x, *arguments, resume=part, **settings)


# --- any network, any shape -------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5,), (3, 8, 8), (1, 4, 4), (2, 2, 2, 2)])
@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("loss", ["margin", "sharpened"])
def test_any_shape_and_number_of_classes(shape, classes, loss):
    d = torch.Size(shape).numel()
    net, x = mlp(d, classes, seed=classes), pixels(6, *shape)
    found = minimal_adversarial(net, x, loss=loss)
    assert found.success.any()
    won = found.success
    assert found.images.shape == x.shape
    assert torch.equal(net(found.images[won]).argmax(1), found.targets[won])
    assert (found.targets[won] != found.labels[won]).all()
    assert torch.equal(found.l2, found.distortion * d**0.5)
    assert torch.allclose(found.distortion[won], attacks.distortion(found.images, x)[won])


def test_a_network_without_parameters_and_one_with_buffers_only():
    weight = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    x = pixels()
    plain = minimal_adversarial(Function(lambda v: v @ weight), x)
    assert plain.success.all()

    class Buffers(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("weight", weight.double())
            self.eval()

        def forward(self, v):
            return v @ self.weight

    double = minimal_adversarial(Buffers(), x)
    assert double.images.dtype == DOUBLE
    assert torch.allclose(double.distortion.float(), plain.distortion, rtol=1e-3)


def test_the_networks_precision_is_the_results():
    x = pixels()
    assert minimal_adversarial(mlp(), x.double()).images.dtype == torch.float32
    assert minimal_adversarial(mlp().double(), x).images.dtype == DOUBLE
    assert minimal_adversarial(mlp().double(), x).distortion.dtype == DOUBLE


def test_nothing_of_the_callers_is_changed():
    net, x = mlp(), pixels()
    targets = others(net, x)
    x.requires_grad_()
    kept = [v.detach().clone() for v in (x, targets, *net.parameters())]
    for loss in ("margin", "cross-entropy", "sharpened"):
        found = minimal_adversarial(net, x, targets, loss=loss)
        tensors = [v for v in vars(found).values() if isinstance(v, torch.Tensor)]
        assert not any(v.requires_grad for v in tensors)
    assert all(
        torch.equal(a, b) for a, b in zip(kept, (x, targets, *net.parameters()), strict=True)
    )
    assert x.grad is None
    assert all(parameter.grad is None for parameter in net.parameters())
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("chunk", [None, 2])
def test_a_network_that_works_in_place_is_refused_and_the_images_are_left_alone(chunk):
    weight = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    x = pixels()
    kept = x.clone()
    refused(ValueError, r"in place", Function(lambda v: v.sub_(0.5) @ weight), x, chunk=chunk)
    assert torch.equal(x, kept)


def test_labels_and_targets_may_be_lists():
    net, x = mlp(), pixels()
    labels, targets = others(net, x, 0), others(net, x)
    lists = minimal_adversarial(net, x, targets.tolist(), labels.tolist())
    tensors = minimal_adversarial(net, x, targets, labels)
    assert torch.equal(lists.images, tensors.images)


def test_the_checks_batch_size_is_the_chunk():
    sizes = []

    def call(v):
        sizes.append(len(v))
        return v

    checking.check_net(Function(call), pixels(10), 4)
    assert max(sizes) == 4


def test_the_chunk_bounds_what_the_network_sees():
    net, x, sizes = mlp(), pixels(30), []

    def call(v):
        sizes.append(len(v))
        return net(v)

    for targets in (others(net, x), None):
        for loss in ("margin", "sharpened"):
            minimal_adversarial(Function(call), x, targets, loss=loss, chunk=8)
    assert max(sizes) <= 8


def test_memory_that_does_not_suffice_is_shared_out(monkeypatch):
    net, x = mlp(), pixels(9)
    attack = minimal._attack

    def small(network, result, rows, clean, **settings):
        if len(rows) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        attack(network, result, rows, clean, **settings)

    wanted = minimal_adversarial(net, x)
    monkeypatch.setattr(minimal, "_attack", small)
    found = minimal_adversarial(net, x)
    assert torch.allclose(found.distortion, wanted.distortion, rtol=1e-3)

    def none(*arguments, **settings):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(minimal, "_attack", none)
    with pytest.raises(torch.OutOfMemoryError):
        minimal_adversarial(net, x)


def test_evaluations_are_the_gradients_taken():
    net, x = mlp(), pixels(10)
    for loss in ("margin", "cross-entropy", "sharpened"):
        rows = [0]

        class Counted(torch.autograd.Function):
            @staticmethod
            def forward(context, v):
                return v.clone()

            @staticmethod
            def backward(context, gradient, rows=rows):
                rows[0] += len(gradient)
                return gradient

        found = minimal_adversarial(
            Function(lambda v, f=Counted: net(f.apply(v))), x, others(net, x), loss=loss
        )
        spent = int(found.evaluations.sum())
        # a few rows that have just finished may still be asked for, and one gradient be a check
        assert spent <= rows[0] <= 1.15 * spent + len(x), loss


def test_measures_and_targets_are_reachable():
    for name in ("distortion", "gaussian_noise", "amplify", "recorded_targets", "random_targets"):
        assert getattr(attacks, name) is getattr(measures, name)
    assert set(attacks.__all__) <= set(dir(attacks))
