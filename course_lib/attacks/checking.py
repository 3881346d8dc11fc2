"""What can be wrong with a network, its images and its targets: said before any long work."""

import dataclasses

import torch
from torch import nn

from .. import device as devices
from ..modes import in_training
from .asking import Asked
from .measures import check_pixels

# How far an answer may move in other company: this share of what the logits vary by. Rounding
# moves it by some millionths; in TF32, on a GPU, by thousandths.
COMPANY = 1e-3
COMPANY_TF32 = 2e-2
COMPANY_COARSE = 0.1  # in half precision, whose unit is itself a thousandth or a hundredth
FEW = 16  # images that are asked again where a look has to be cheap
COMPANIONS = 4  # other images of the call, beside which a single one is asked again
STEPS = 4  # units of rounding by which two logits may come nearer when each is rounded otherwise


@dataclasses.dataclass(frozen=True, eq=False)
class Clean:
    """What the network says of the clean images. logits: (N, classes); varies: (N,) twice what the
    logit that varies most changes by from the image to half of it: the size of what the network
    computes, in which a constant (an offset, a mask) has no part; moved: (classes,) by how much
    each logit moved when the images came in other company."""

    logits: torch.Tensor
    varies: torch.Tensor
    moved: torch.Tensor


def check_module(net: nn.Module) -> None:
    """Raise TypeError unless ``net`` is a module, ValueError if it has no weights yet."""
    if not isinstance(net, nn.Module):
        raise TypeError(f"The network must be a torch module, not {type(net).__name__}.")
    if any(tensor.is_meta for tensor in (*net.parameters(), *net.buffers())):
        raise ValueError(
            "The network's weights lie on the meta device, where they have no values: build it on "
            "a real device and load its weights."
        )


def check_kinds(net: nn.Module, images: torch.Tensor) -> None:
    """Raise TypeError or ValueError unless ``net`` is a module and ``images`` are some images."""
    check_module(net)
    check_pixels(images)
    if not len(images):
        raise ValueError("There are no images to attack.")


def check_mode(net: nn.Module) -> None:
    """Raise ValueError for a module in train mode, and for weights without gradients."""
    training = in_training(net)
    if training:
        raise _train_mode(training)
    check_weights(net)


def _train_mode(what: str) -> ValueError:
    return ValueError(f"{what}. Dropout and batch statistics would blur the answer.")


@torch.no_grad()
def check_mode_matters(net: nn.Module, ask) -> None:
    """Raise ValueError if ``net`` is in train mode and that shows, when ``ask()`` asks it: in
    another answer the second time, or in buffers, which are put back."""
    training = in_training(net)
    if not training:
        return
    kept = [(buffer, buffer.clone()) for buffer in net.buffers()]
    state = torch.get_rng_state()
    try:
        first, second = ask(), ask()
    finally:
        changed = [(buffer, old) for buffer, old in kept if not torch.equal(buffer, old)]
        for buffer, old in changed:
            buffer.copy_(old)
    if changed or not torch.equal(first, second):
        torch.set_rng_state(state)
        raise _train_mode(training)


def check_weights(net: nn.Module) -> None:
    """Raise ValueError for weights without gradients."""
    if any(tensor.is_inference() for tensor in (*net.parameters(), *net.buffers())):
        raise ValueError(
            "The network's weights were made in torch.inference_mode(), so it has no gradient to "
            "follow: make or load it outside of that (copy.deepcopy of it will do)."
        )


def check_net(net: nn.Module, images: torch.Tensor, chunk: int, sparing: bool = False) -> Clean:
    """What ``net`` says of the clean images, if both are fit for an attack.

    sparing: no gradient is to be taken, because they are counted: see :func:`check_gradient`.
    Raises TypeError or ValueError, with a sentence, for: a module in train mode, or with weights
    of inference mode; images of a shape that it does not take; an output that is not (N, classes),
    is not finite, holds probabilities instead of logits, changes from call to call or with the
    rest of the batch, works in place on the images, or has no gradient.
    """
    asked = net if isinstance(net, Asked) else Asked(net, images)
    check_mode(asked.net)
    with asked.plain(), torch.no_grad():
        return _check_net(asked, images.detach().clone(), chunk, sparing)


def _check_net(asked: Asked, images: torch.Tensor, chunk: int, sparing: bool) -> Clean:
    batches = images.to(asked.device, asked.dtype).contiguous().split(chunk)
    first = first_answer(asked, batches[0])
    check_output(first, len(batches[0]))
    asked.rounds_to = first.dtype
    first = first.to(asked.working)
    logits = torch.cat([first, *(asked(batch) for batch in batches[1:])])
    if not logits.isfinite().all():
        raise ValueError(
            "The network's output is not finite (NaN or infinity) for "
            f"{int((~logits.isfinite().all(1)).sum())} of {len(images)} images: see its "
            "weights."
        )
    if not torch.equal(first, asked(batches[0])):
        raise ValueError(
            "The network changes its answer from call to call: an attack needs one function. "
            "Switch off its random parts, or fix its noise."
        )
    half = torch.cat([asked(batch / 2) for batch in batches])
    # what an added constant leaves of a logit is its rounding, and no variation
    step = STEPS * asked.epsilon() * logits.abs()
    varies = _varies(half, logits, step)
    alone = check_gradient(asked, batches[0][:1], sparing)
    size = _size(asked, batches[0], first, logits, varies)
    few = slice(1, 1 + COMPANIONS)
    others = images[few].to(batches[0]), logits[few]
    moved = _check_company(asked, batches[0], first, alone, size, step.amax(0), others)
    return Clean(logits, varies, moved)


def _varies(half, logits, step) -> torch.Tensor:
    """(N,) by how much the logits vary. half: those of half of each image; step: their rounding."""
    return 2 * ((half - logits).abs() - step).clamp_min(0).nan_to_num().amax(1)


def _size(asked: Asked, batch, first, logits, varies) -> torch.Tensor:
    """What the logits vary by at all. first: those of ``batch``, some of ``logits``."""
    size = varies.amax()
    top = logits.topk(2, dim=1)[0]
    if size <= COMPANY * (top[:, 0] - top[:, 1]).amax():
        # half of an image is the same to a network that normalises it: its negative is not
        size = torch.maximum(size, (asked(1 - batch) - first).abs().nan_to_num(0.0).amax())
    return size


@torch.no_grad()
def check_alone(asked: Asked, images: torch.Tensor, logits: torch.Tensor, alone=None) -> None:
    """Raise ValueError, with a sentence, if the answer to an image depends on the others: a cheap
    look at :data:`FEW` of them. images: (N, *shape), N >= 1, as the network takes them; logits:
    (N, classes) its answers to them; alone: (1, classes) that to the first image alone, if known.
    """
    if alone is None:
        alone = _ask(asked, images[:1], "it does not take a single image")
        if alone.shape != logits[:1].shape:
            raise _in_company(f"to a single image it answers with the shape {tuple(alone.shape)}")
    few, some = images[:FEW], logits[:FEW]
    half = _ask(asked, few / 2, f"it takes {len(images)} of them, but not {len(few)}")
    if half.shape != some.shape:
        raise _in_company(f"to {len(few)} of them it answers with the shape {tuple(half.shape)}")
    step = STEPS * asked.epsilon() * logits.abs()
    size = _size(asked, few, some, some, _varies(half, some, step[:FEW]))
    others = images[1:1], logits[1:1]
    _check_company(asked, images, logits, alone, size, step.amax(0), others, most=FEW)


def first_answer(asked: Asked, batch: torch.Tensor):
    """The network's answer to ``batch``, or a ValueError that says why there is none."""
    probe = batch.clone()
    before = probe._version
    try:
        answer = asked.raw(probe)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        if len(batch) == 1 and _takes(asked, torch.cat([batch, batch])):
            raise _in_company(f"it takes two images, but not a single one ({error})") from error
        raise ValueError(
            f"The network does not take images of the shape {tuple(batch.shape[1:])}, a batch of "
            f"{len(batch)} ({error}): give images (N, ...) as it was made for, a single one as "
            "images[None]."
        ) from error
    if probe._version != before or not torch.equal(probe, batch):
        raise ValueError(
            "The network works in place on its input, which changes the images and has no "
            "gradient: let its first layer make a copy (x.clone(), or inplace=False)."
        )
    return answer


def _takes(asked: Asked, batch: torch.Tensor) -> bool:
    try:
        asked.raw(batch)
    except Exception:
        return False
    return True


def _ask(asked: Asked, images: torch.Tensor, how: str) -> torch.Tensor:
    """The answer to ``images``; where there is none, though to other numbers of images there is, a
    ValueError that says ``how``."""
    try:
        return asked(images)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise _in_company(f"{how} ({error})") from error


def _in_company(how: str) -> ValueError:
    return ValueError(
        f"The network's answer depends on the other images of its batch: {how}. An attack needs "
        "one function of one image: use running statistics in place of the batch's, and nothing "
        "else that joins images."
    )


def _check_company(asked, batch, first, alone, size, step, others, most=None) -> torch.Tensor:
    """(classes,) by how much the logits move in other company; ValueError if by too much.

    The second half of the batch, or ``most`` of it, is asked again, backwards; a single image,
    twice, beside its negative, black, white, noise, and others of the call.
    first: the answers to ``batch``, alone: that to its first image; size: what the logits vary by;
    step: (classes,) what rounding may do; others: more images, and the answers to them.
    """
    n = len(batch)
    again = slice(n // 2, None if most is None else n // 2 + most)
    if n > 1:
        some = batch[again].flip(0)
    else:
        noise = torch.rand(batch.shape, generator=devices.generator(0)).round().to(batch)
        plain = torch.zeros_like(batch), torch.ones_like(batch)
        some = torch.cat([batch, others[0], batch, 1 - batch, *plain, noise])
    seen = _ask(asked, some, f"it takes {n} of them, but not {len(some)}")
    if seen.shape != (len(some), first.shape[1]):
        raise _in_company(f"to {len(some)} of them it answers with the shape {tuple(seen.shape)}")
    before = first[again].flip(0) if n > 1 else torch.cat([first, others[1], first])
    seen = seen[: len(before)]
    seen, before = torch.cat([seen, alone]), torch.cat([before, first[:1]])
    moved = (seen - before).abs().nan_to_num(nan=torch.inf)
    moved = torch.where(seen == before, 0.0, moved)  # a class that is masked by an infinity
    share = COMPANY
    if asked.epsilon() > COMPANY / 10:
        share = COMPANY_COARSE
    elif asked.device.type == "cuda":
        share = COMPANY_TF32
    if (moved > share * size + step).any():
        most = float((moved - step).amax() / size.clamp_min(torch.finfo(size.dtype).tiny))
        how = f"by {100 * most:.2g} % of what they vary by" if most < 100 else "by far"
        raise _in_company(f"the same image among other images has other logits, {how}")
    return moved.amax(0)


def check_gradient(asked: Asked, image: torch.Tensor, sparing: bool = False) -> torch.Tensor:
    """(1, classes) the answer to a single image, if it has a gradient; ``sparing``: if autograd's
    graph leads from it back to the image, and no gradient is taken."""
    with torch.enable_grad():
        image = image.clone().requires_grad_(True)
        answer = _ask(asked, image, "it does not take a single image")
        there = answer.requires_grad
        if there and sparing:
            there = _leads_back(answer, image)
        elif there:
            (slope,) = torch.autograd.grad(answer.sum(), image, allow_unused=True)
            there = slope is not None
    if not there:
        raise ValueError(
            "The network's output has no gradient with respect to the images: there is nothing to "
            "follow. See whether its forward detaches, rounds, or runs under no_grad."
        )
    if answer.shape[0] != 1:
        raise _in_company(f"to a single image it answers with the shape {tuple(answer.shape)}")
    return answer.detach()


def _leads_back(answer: torch.Tensor, image: torch.Tensor) -> bool:
    """Whether autograd's graph leads from ``answer`` back to ``image``."""
    ways, seen = [answer.grad_fn], set()
    while ways:
        step = ways.pop()
        if step is None or step in seen:
            continue
        if getattr(step, "variable", None) is image:
            return True
        seen.add(step)
        ways += [before for before, _ in step.next_functions]
    return False


def check_type(output) -> None:
    """Raise TypeError unless ``output`` is a float tensor."""
    if not isinstance(output, torch.Tensor) or not output.is_floating_point():
        raise TypeError("The network must return a float tensor of logits, (N, classes).")


def check_shape(output, n: int) -> None:
    """Raise unless ``output`` is a float tensor (n, classes), at least two of them."""
    check_type(output)
    if output.dim() != 2 or output.shape[0] != n or output.shape[1] < 2:
        raise ValueError(
            f"The network must return logits (N, classes), at least two classes; for {n} images it "
            f"returned the shape {tuple(output.shape)}."
        )


def check_output(output, n: int) -> None:
    """Raise unless ``output`` is a float tensor (n, classes) that can be logits."""
    check_shape(output, n)
    total = output.double().sum(1)
    rounding = max(1e-3, 4 * torch.finfo(output.dtype).eps)
    if (output >= 0).all() and (output <= 1).all() and ((total - 1).abs() < rounding).all():
        raise ValueError(
            "The network returns probabilities: each row lies in [0, 1] and sums to 1. The attack "
            "needs the logits: leave out the softmax at its end (or give log-probabilities)."
        )


def check_loss(loss, logits: torch.Tensor, targets: torch.Tensor) -> None:
    """Raise TypeError or ValueError unless ``loss(logits, targets)`` gives a float for each image,
    (n,), that has a gradient. logits: (n, classes)."""
    with torch.enable_grad():
        logits = logits.detach().clone().requires_grad_(True)
        try:
            values = loss(logits, targets)
        except Exception as error:
            raise ValueError(
                f"The loss cannot be asked ({type(error).__name__}: {error}): give a function of "
                "(logits, targets), shapes (n, classes) and (n,)."
            ) from error
    if not isinstance(values, torch.Tensor) or not values.is_floating_point():
        raise TypeError("The loss must return a float tensor, one value for each image.")
    if values.shape != (len(logits),):
        raise ValueError(
            f"The loss must return one value for each image, ({len(logits)},), not the shape "
            f"{tuple(values.shape)}: leave out the mean (reduction='none')."
        )
    if not values.requires_grad:
        raise ValueError("The loss has no gradient: see whether it detaches the logits, or rounds.")
