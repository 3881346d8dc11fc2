# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown] id="title"
# # 6. How much can a layer stretch?
#
# A change of an image that nobody sees becomes, at the end of a network, a change of ten logits
# that decides. Somewhere on the way it has grown. Section 4.3 of the paper asks which layers *can*
# make it grow, and by how much, and answers with a number for each layer of AlexNet (Table 5). In
# this lesson you compute such numbers for each kind of layer that it names, exactly or between two
# bounds, and find on the way that two of its statements need a correction.
#
# **After this lesson** you can
#
# - say what the operator norm of a layer is, draw it, and compute it from below and from above;
# - write a convolution down as a matrix, and say what Fourier's waves do for it;
# - compute the norm of a convolution with several channels, with a stride, with zero padding;
# - say which prefactor belongs into the paper's formula for a stride Δ, Δ⁻¹ or Δ⁻², and show it to
#   others;
# - give the constants of rectifiers, sigmoids, pooling and normalisation, and say when pooling
#   can stretch a change, and when it cannot;
# - read Table 5, and make it for another network.
#
# **Before it** you need matrices, the L2 norm, and complex numbers ($e^{i\alpha}$). Lesson 03 says what
# the size of a change is. Section 8 uses adversarial perturbations: small changes, found by
# lesson 04's attack, that make a network read another digit. The rest of the course is not needed.
#
# Two of the course's MNIST networks are measured: FC100-100-10, with two hidden layers of 100 sigmoids
# and ten outputs, and CONV, with two convolutions of 3 x 3, each followed by max pooling, and one fully
# connected layer.
#
# **Time:** about 90 minutes without the parts that are marked as optional (the last exercise, contrast
# normalisation and groups, Table 5), which take 20 more; the cells compute for half a minute on two
# processor cores. Every exercise can be skipped: the lesson then goes on with the course's version.

# %% id="imports"
import functools
import json
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.colors import PowerNorm
from torch import nn

from course_lib import attacks, models, paper, plotting, spectral
from course_lib import storage, widgets, zoo
from course_lib.data import load_mnist
from course_lib.exercises import answer, as_tensor, check, predict
from course_lib.exercises import progress, quiz, score, whose, yours
from course_lib.plotting import lesson06 as figures

plotting.style()
rng = torch.Generator().manual_seed(6)


# %% id="helpers"
# in double precision, also what comes as a list or an array
tensor = functools.partial(as_tensor, dtype=torch.float64)


# %% [markdown] id="circle-head"
# ## 1. A circle becomes an ellipse
#
# A fully connected layer computes $Wx + b$. Change its input by $r$, and its output changes by
#
# $$W(x + r) + b - (Wx + b) = W r ,$$
#
# whatever $x$ and $b$ are. So the question is how long $Wr$ is when $r$ has length 1. Here is an
# example with two inputs and two outputs. Turn $r$ round the circle, and watch $Wr$.

# %% id="circle"
#| alt: Left: a circle with an arrow of length one. Middle: the ellipse that
#| the matrix makes of it, with the arrow's image. Right: the image's length
#| over the angle, a wave with two humps; a dot marks the chosen angle, first
#| on a crest, then in a trough.
W = torch.tensor([[1.6, 0.9], [0.1, 0.8]], dtype=torch.float64)
angles = torch.linspace(0, 2 * math.pi, 361, dtype=torch.float64)
circle = torch.stack([angles.cos(), angles.sin()])
stretch = (W @ circle).norm(dim=0)
top = int(stretch[:181].argmax())
widgets.explore(
    lambda degrees: figures.ellipse(circle, W, degrees),
    static=[{"degrees": top}, {"degrees": top + 90}],
    degrees=widgets.slider(list(range(0, 361, 3)), "angle of r", start=0),
)

# %% [markdown] id="circle-note"
# The circle becomes an ellipse. Its half axes are the *singular values* of $W$, $\sigma_1 \ge
# \sigma_2$. Two directions of $r$, at right angles, are mapped on the two axes: the (right) *singular
# vectors*. In n dimensions it is the same with a sphere and up to n axes.
#
# The longest half axis is the *operator norm* of $W$,
#
# $$\lVert W \rVert = \sigma_1 = \max_r \frac{\lVert W r \rVert}{\lVert r \rVert} .$$
#
# No change is stretched more than that, whichever image it is made on. (The word for this,
# for any function φ, is *Lipschitz constant*: the smallest L with
# $\lVert \varphi(x + r) - \varphi(x) \rVert \le L \lVert r \rVert$ for all $x$ and $r$.)
#
# Now a real layer: the first one of FC100-100-10, with 784 inputs and 100 outputs. Draw a thousand
# random directions $r$ and look how much each is stretched. Then compare with $\sigma_1$.

# %% id="random-guess"
### BEGIN SOLUTION
predict("random-stretch", (3, 10))
### END SOLUTION
### BEGIN STUB
#| # norm of fc1 / average stretch of a random direction:
#| predict("random-stretch", None)  # a number of times, or (low, high)
### END STUB

# %% id="random" tags=["result"]
fc1 = zoo.load("FC100-100-10", device="cpu").fc1.weight.detach().double()
directions = torch.randn(784, 1000, generator=rng, dtype=torch.float64)
at_random = (fc1 @ directions).norm(dim=0) / directions.norm(dim=0)
fc1_sigmas = torch.linalg.svdvals(fc1)
mean_square = at_random.square().mean()
print(f"random directions: {at_random.min():.2f} to {at_random.max():.2f}")
print(f"root of their mean square: {mean_square.sqrt():.3f}")
print(f"root of the sum of σ², / 28: {fc1_sigmas.norm() / 28:.3f}")
print(f"largest singular value: {fc1_sigmas[0]:.2f}")
times_average = float(fc1_sigmas[0] / at_random.mean())
print(f"that is {times_average:.1f} times the average")
assert at_random.max() < fc1_sigmas[0] / 4
assert abs(mean_square.sqrt() * 28 / fc1_sigmas.norm() - 1) < 0.03

# %% id="random-score"
score("random-stretch", times_average)

# %% id="random-figure"
#| alt: A histogram of how much random directions are stretched: a narrow heap
#| near one. The line of the largest singular value stands alone, far to the
#| right.
plt.hist(at_random, bins=30, label="1000 random directions")
plt.axvline(
    fc1_sigmas[0], color=plotting.PAPER, label="largest singular value"
)
plt.xlim(0, 1.1 * fc1_sigmas[0])
plt.xlabel("length of Wr for r of length 1")
plt.ylabel("directions")
plt.legend()
plt.show()

# %% [markdown] id="random-note"
# Random directions are stretched by about the root of $\sum_k \sigma_k^2 / 784$, and none of the thousand
# comes anywhere near $\sigma_1$. In 784 dimensions a random direction has a little of every singular
# vector and much of none. So trying directions at random does not find the norm, just as noise does
# not find adversarial images. What does?

# %% [markdown] id="power-head"
# ## 2. The norm from below and from above
#
# Take any $r$ and write it in the singular vectors $v_k$: $r = \sum_k a_k v_k$. Then $W^\top W r =
# \sum_k \sigma_k^2 a_k v_k$. Every part has grown by its $\sigma_k^2$, and the first by the most. Do it
# again and again, and the first part is all that is left: *power iteration*. (Multiplying by $W$ alone
# would not do. Its outputs live in another space than its inputs, and $W^\top$ leads back.)

# %% [markdown] id="power-iteration-task" task="power-iteration"
# Write it. Each step multiplies by $W^\top W$ and makes the result one unit long.


# %% id="power-iteration" exercise="power-iteration"
def power_iteration(matrix, start, steps=100):
    """The largest stretch of a matrix, found by power iteration.

    matrix: (outputs, inputs); start: (inputs,), any vector but 0; steps:
    how many are taken, at least 1. Returns the stretch of the last
    direction, a scalar, and that direction, (inputs,), of length 1.
    """
    ### BEGIN SOLUTION
    v = start
    for _ in range(steps):
        v = matrix.T @ (matrix @ v)
        v = v / v.norm()
    return (matrix @ v).norm(), v
    ### END SOLUTION


# %% id="power-iteration-check" check="power-iteration"
power_iteration = check("power-iteration", power_iteration)

# %% [markdown] id="power-run"
# On fc1, from five random starts:

# %% id="power"
#| alt: The stretch found over the number of steps, on a logarithmic axis, from
#| five starts. All five rise to the line of the largest singular value and
#| stay there.
starts = torch.randn(5, 784, generator=rng, dtype=torch.float64)
counts = [1, 2, 5, 10, 20, 50, 100, 200]
from_below = torch.tensor(
    [[float(power_iteration(fc1, s, n)[0]) for n in counts] for s in starts]
)
assert (from_below <= fc1_sigmas[0] * (1 + 1e-5)).all(), (
    "power_iteration found more than the norm, which is the most there is: "
    "return the length of matrix @ v for the v that you return, and make v "
    "one unit long."
)
plt.semilogx(counts, from_below.T, "o-", color=plotting.OURS, markersize=3)
plt.axhline(
    fc1_sigmas[0], color=plotting.PAPER, label="largest singular value"
)
last = yours("power-iteration")
if last not in (None, power_iteration):
    theirs = [float(last(fc1, starts[0], n)[0]) for n in counts]
    plt.semilogx(counts, theirs, "x:", color="C2", label="your last version")
plt.ylim(0, 1.3 * float(fc1_sigmas[0]))  # a wrong one may lie beyond
plt.xlabel("steps")
plt.ylabel("stretch found")
plt.title(f"five starts: {whose(power_iteration)}")
plt.legend()
plt.show()

# %% id="from-below"
quiz("from-below")

# %% [markdown] id="above-head"
# All five starts climb to the same number. None passes it, as none can. A promise ("no change grows
# more than this") needs a bound from *above*. There is a cheap one: the *Frobenius norm*, the root
# of the sum of all squared entries, which is also the root of $\sum_k \sigma_k^2$. A sum of
# positive terms is at least its largest. But here it is the sum of a hundred terms, and far too
# large.
#
# The cure is a higher power: in $\sum_k \sigma_k^p$ the largest term drowns all others, so that
#
# $$\sigma_1 \; \le \; \Bigl(\sum_k \sigma_k^p\Bigr)^{1/p} \; \le \; n^{1/p} \, \sigma_1$$
#
# with n singular values: $n^{1/p}$ comes down to 1 quickly. And high powers are cheap. Square the
# *Gram matrix* $G = W^\top W$ again and again. After k squarings its singular values are
# $\sigma^{2 \cdot 2^k}$, and its Frobenius norm is the root of $\sum \sigma^{4 \cdot 2^k}$.
#
# One trap: with 8 squarings a norm of 3000 has become $3000^{512}$, which is beyond any float. Divide by a number before each squaring, and keep the
# logarithm of what was divided by. This is *Gram iteration* (Delattre et al. 2023).

# %% [markdown] id="norm-from-above-task" task="norm-from-above"
# Write it: the root of order $2^{k+1}$ of the Frobenius norm of $G^{2^k}$, for k = `squarings`.


# %% id="norm-from-above" exercise="norm-from-above"
def norm_from_above(matrix, squarings=6):
    """A bound from above for the operator norm, by Gram iteration.

    matrix: (outputs, inputs), not all 0; squarings: k, how often WᵀW is
    squared. Returns the Frobenius norm of its power 2ᵏ, to the power
    1 / 2ᵏ⁺¹, a scalar, by products of matrices: without a decomposition.
    """
    ### BEGIN SOLUTION
    gram, log = matrix.T @ matrix, 0.0
    for _ in range(squarings):
        size = gram.norm()
        gram = (gram / size) @ (gram / size)
        log = 2 * (log + size.log())
    return ((log + gram.norm().log()) / 2 ** (squarings + 1)).exp()
    ### END SOLUTION


# %% id="norm-from-above-check" check="norm-from-above"
norm_from_above = check("norm-from-above", norm_from_above)

# %% id="bracket" tags=["result"]
print(f"Frobenius norm: {fc1.norm():.3f}")
for k in (0, 2, 4, 6, 8, 10):
    above = float(norm_from_above(fc1, k))
    print(f"{k:2} squarings: at most {above:.6f}")
    assert above >= fc1_sigmas[0] * (1 - 1e-5), (
        "norm_from_above lies below the largest singular value, and is no "
        "bound: see that what each squaring is divided by comes back at the "
        "end."
    )
below = float(power_iteration(fc1, starts[0])[0])
print(f"100 steps: at least {below:.6f}")

# %% id="bracket-whose"
print(f"from above: {whose(norm_from_above)};", end=" ")
print(f"from below: {whose(power_iteration)}")

# %% [markdown] id="bracket-note"
# (If a check said VALID BUT LOOSE, the lesson goes on with your own function, and its numbers lie
# farther from the norm than those that the text speaks of.)
#
# Two numbers that hold the norm between them are worth more than one "estimate": no word about
# convergence has to be taken on trust. (Nor does rounding bother here: it is of the order of 1e-15 in
# double precision, and the library adds an allowance for it.) The catch is size. Squaring a matrix
# of n columns costs n³ operations, and the first convolution of AlexNet has {{=3 * 224 * 224}} inputs.
# Convolutions need another idea.

# %% [markdown] id="matrix-head"
# ## 3. A convolution is a matrix
#
# First in one dimension: a line of n pixels and a kernel of a few *taps* $w_0, w_1, \dots$ Output j is
#
# $$y_j = \sum_m w_m \, x_{\Delta j + m - p} ,$$
#
# with padding p and stride Δ. (PyTorch's convolutions do not turn the kernel round, as those of
# mathematics do.) Every output is a weighted sum of inputs, so it is a row of a matrix. What about
# positions beyond the ends? With *zero padding* a 0 is read there. On a *circle*, the other end
# is: position -1 is n - 1.

# %% [markdown] id="convolution-matrix-task" task="convolution-matrix"
# Write the matrix.


# %% id="convolution-matrix" exercise="convolution-matrix"
def convolution_matrix(kernel, n, padding, stride=1, circular=False):
    """The matrix of a convolution of one channel on a line of n pixels.

    kernel: (taps,); padding: on both sides, n at most, of zeros, or
    (circular) of what is found going round. Returns (outputs, n), with
    outputs = (n + 2 padding - taps) // stride + 1.
    """
    ### BEGIN SOLUTION
    outputs = (n + 2 * padding - len(kernel)) // stride + 1
    matrix = kernel.new_zeros(outputs, n)
    for j in range(outputs):
        for m in range(len(kernel)):
            i = stride * j + m - padding
            if circular:
                matrix[j, i % n] += kernel[m]
            elif 0 <= i < n:
                matrix[j, i] = kernel[m]
    return matrix
    ### END SOLUTION


# %% id="convolution-matrix-check" check="convolution-matrix"
convolution_matrix = check("convolution-matrix", convolution_matrix)

# %% id="matrix-figure"
#| alt: A convolution as a matrix, three times, in red and blue. With zero
#| padding it is a band along the diagonal; the circular one has entries in two
#| corners as well; with a stride only every third row is left.
taps = torch.tensor([0.5, 1.0, -0.8], dtype=torch.float64)
kinds = {
    "zero padding": {},
    "circular": {"circular": True},
    "circular, stride 3": {"circular": True, "stride": 3},
}
drawn = {
    name: tensor(convolution_matrix(taps, 24, 1, **kind))
    for name, kind in kinds.items()
}
figure, axes = plt.subplots(1, 3, figsize=(8, 3.3))
for axis, (name, matrix) in zip(axes, drawn.items(), strict=True):
    shown = axis.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1)
    axis.set(title=name, xlabel="input", ylabel="output")
figure.colorbar(shown, ax=axes, label="entry", shrink=0.8)
figure.suptitle(f"taps 0.5, 1, -0.8: {whose(convolution_matrix)}")
plt.show()

# %% [markdown] id="matrix-note"
# The rows are one and the same, each a step further to the right. With zero padding the first and the
# last are cut off; on the circle what is cut off appears in the corners; with stride 3 two of three
# rows are left out.
#
# With images it is the same in two dimensions, and with several channels there is such a block for
# each pair of an input and an output channel. The matrix of conv1 of our network CONV, which reads
# 28 x 28 pixels and puts out 16 channels:

# %% id="big-matrix" tags=["result"]
conv = zoo.load("CONV", device="cpu").double().requires_grad_(False)
conv1_matrix = spectral.explicit_matrix(conv.conv1, (1, 28, 28))
print("matrix of conv1:", tuple(conv1_matrix.shape))
print(f"numbers that are not 0: {(conv1_matrix != 0).double().mean():.1%}")
print("numbers in its kernel:", conv.conv1.weight.numel())
x = torch.rand(1, 28, 28, generator=rng, dtype=torch.float64)
y = conv.conv1(x[None])[0] - conv.conv1.bias[:, None, None]
assert torch.allclose(conv1_matrix @ x.flatten(), y.flatten()), (
    "The matrix is not the layer: on this image they differ."
)

# %% [markdown] id="waves-head"
# ## 4. Waves
#
# On a circle no place is special: shift the input, and the output is the same, shifted. That has a
# consequence which made Fourier famous. Send a wave through the layer,
#
# $$x_i = e^{2 \pi \mathrm{i} \, \xi i / n}, \qquad \xi = 0, 1, \dots, n - 1.$$
#
# To shift this wave by one place is to multiply it by a number. So the output, too, is multiplied by
# that number if it is shifted by one place: it must be the same wave, times some constant. The
# constant is
#
# $$A(\xi) = \sum_m w_m \, e^{2 \pi \mathrm{i} \, \xi (m - p) / n},$$
#
# called the *symbol*: the Fourier transform of the kernel, up to a factor of modulus 1. In other words,
# written in waves instead of pixels, the matrix of a circular convolution is diagonal. Waves are an
# orthonormal basis (once divided by √n), and a change to such a basis leaves all lengths as they are.
# So the norm of the layer is the largest $|A(\xi)|$. (Images are real and waves complex. That changes
# nothing: W is real, so it maps the two parts of x + iy each by itself, $\lVert W(x + iy) \rVert^2 =
# \lVert Wx \rVert^2 + \lVert Wy \rVert^2$, and a complex input is stretched no more than the better of
# its parts. At ξ and -ξ the symbols are conjugates, of one modulus, so the real part of a wave, which
# is made of these two, is stretched as much as the wave. The pictures below show real parts.)
#
# Below are the matrices of the last figure, written in waves: the modulus of each entry, on a scale
# that brings out the small ones.

# %% id="waves-figure"
#| alt: The same three matrices between waves, in greys. The circular one is a
#| diagonal line; zero padding adds a pale haze on both sides of it; with a
#| stride there are three slanting lines, so that several waves become one.


def waves(n):
    """The waves as the columns of a unitary matrix (n, n)."""
    return torch.fft.ifft(torch.eye(n, dtype=torch.complex128), norm="ortho")


figure, axes = plt.subplots(1, 3, figsize=(8, 2.9))
in_waves = {}
for axis, (name, matrix) in zip(axes, drawn.items(), strict=True):
    rows, columns = matrix.shape
    turned = waves(rows).mH @ matrix.to(torch.complex128) @ waves(columns)
    in_waves[name] = turned.abs()
    shown = axis.imshow(
        in_waves[name], cmap="Greys", norm=PowerNorm(0.4, 0, 2)
    )
    axis.set(title=name, xlabel="wave in", ylabel="wave out")
figure.colorbar(shown, ax=axes, label="modulus", shrink=0.8)
plt.show()

# %% id="waves-asserts" tags=["solution-only"]
symbol = torch.fft.fft(taps, n=24).abs()
off = in_waves["circular"] - in_waves["circular"].diagonal().diag()
assert off.max() < 1e-6
largest = torch.linalg.matrix_norm(drawn["circular"], 2)
assert abs(symbol.max() - largest) < 1e-6

# %% [markdown] id="waves-note"
# In the middle: circular, and exactly diagonal. On the left: with zero padding there is something
# beside the diagonal everywhere, but little (section 5). On the right: with a stride there are
# three diagonals, so that three waves go in where one comes out (section 6).
#
# **Channels.** With C input and D output channels, each channel of the input may hold the same wave
# with an amplitude of its own. Those C amplitudes become D: at each frequency the symbol is a
# D x C *matrix*, and the norm of the layer is the largest singular value of any of these. Instead of
# one matrix of $D n^2$ rows there are $n^2$ matrices of D rows (Sedghi, Gupta and Long 2019).

# %% [markdown] id="symbol-norm-task" task="symbol-norm"
# Write the norm of a circular convolution with stride 1. (Where the kernel begins, and whether the
# transform has a plus or a minus in the exponent, changes no modulus and no singular value.)


# %% id="symbol-norm" exercise="symbol-norm"
def symbol_norm(weight, n):
    """The operator norm of a circular convolution with stride 1.

    weight: (D, C, height, width), the kernel, at most n high and wide; n:
    the images have n x n pixels. Returns a scalar, from the symbols: without
    the layer's matrix, which can be too large to hold.
    """
    ### BEGIN SOLUTION
    symbols = torch.fft.fft2(weight, s=(n, n))  # (D, C, n, n)
    symbols = symbols.permute(2, 3, 0, 1)
    return torch.linalg.svdvals(symbols).max()
    ### END SOLUTION


# %% id="symbol-norm-check" check="symbol-norm"
symbol_norm = check("symbol-norm", symbol_norm)

# %% [markdown] id="reshaped-head"
# A short cut is in use: reshape the kernel to a matrix of D rows and C·h·w columns, and take the norm
# of that. (So did Yoshida and Miyato 2017 and Miyato et al. 2018, and so does `spectral_norm` in
# PyTorch.) Which share of the layer's norm is it, for conv2 of our network? (Our layers pad with
# zeros. Up to section 5 "the layer" is the circular layer with the same kernel; their norms differ by
# a little.)

# %% id="reshaped-guess"
### BEGIN SOLUTION
predict("reshaped-share", (30, 60))
### END SOLUTION
### BEGIN STUB
#| # norm of conv2's reshaped kernel / norm of the circular layer:
#| predict("reshaped-share", None)  # in percent: a number, or (low, high)
### END STUB

# %% id="reshaped" tags=["result"]
weights = {name: getattr(conv, name).weight for name in ("conv1", "conv2")}
sizes = {"conv1": 28, "conv2": 14}
share = {}
for name, weight in weights.items():
    outputs, inputs = weight.shape[:2]
    layer = nn.Conv2d(inputs, outputs, 3, 1, 1, padding_mode="circular")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    # the library's number: yours may be a bound that is looser
    norm = spectral.operator_norm(layer, (inputs, sizes[name], sizes[name]))
    reshaped = float(torch.linalg.matrix_norm(weight.flatten(1), 2))
    share[name] = reshaped / norm
    print(f"{name}: circular layer {norm:.3f}, reshaped kernel", end=" ")
    print(f"{reshaped:.3f},")
    print(
        f"   {share[name]:.0%} of it; 3 times the reshaped: {3 * reshaped:.3f}"
    )
    assert reshaped <= norm

# %% id="reshaped-whose"
for name, weight in weights.items():
    norm = float(symbol_norm(weight, sizes[name]))
    print(f"{name}: symbol_norm {norm:.3f} ({whose(symbol_norm)})")

# %% id="reshaped-score"
score("reshaped-share", 100 * share["conv2"])

# %% [markdown] id="reshaped-note"
# Less than a half in both layers. The reshaped kernel describes *one* output pixel: how much its D
# numbers change when the nine pixels that it reads do. The layer has an output pixel at every place,
# and each input pixel is read nine times. So the layer's norm is at least that of the reshaped
# kernel, and at most √9 = 3 times as much (conv1 and conv2 are nearer to the upper end). To divide a
# kernel by its reshaped norm, and to believe that the layer then has norm 1, is a mistake.
#
# Which input is stretched most? At each frequency the first singular vector gives an amplitude for
# each channel, and the input is a wave of that frequency in every channel. Move the frequency, and
# look where each layer stretches most and where least. The first picture shows the largest singular
# value of every frequency, with frequency 0 in the middle; the second all singular values of the one
# that is marked; the third the pattern that goes in, channel by channel; the fourth what comes out. (conv2 reads 14 x 14 pixels. Here it gets 28 x 28, which
# shows its symbol at more frequencies.)

# %% id="frequencies"
symbols = {
    name: torch.fft.fft2(weight, s=(28, 28)).conj().permute(2, 3, 0, 1)
    for name, weight in weights.items()
}
stretches = {name: torch.linalg.svdvals(s) for name, s in symbols.items()}


def most_stretched(name, down, across):
    """The input (C, 28, 28) of one frequency that is stretched most."""
    _, _, right = torch.linalg.svd(symbols[name][down % 28, across % 28])
    v = right[0].conj()
    v = v * v[v.abs().argmax()].conj().sgn()  # its largest entry real
    place = torch.arange(28, dtype=torch.float64) * 2j * math.pi / 28
    wave = torch.exp(down * place[:, None] + across * place)
    return (v[:, None, None] * wave).real


def on_circle(name, x):
    """What the layer makes of x (C, 28, 28) with circular padding."""
    x = F.pad(x[None], (1, 1, 1, 1), mode="circular")
    return F.conv2d(x, weights[name])[0]


# %% id="frequencies-look"
#| alt: For the chosen layer and wave: a map of the largest singular value over
#| all waves, with a dot at the chosen one; all singular values of that wave as
#| bars; the pattern that goes in; and what comes out in each channel. In the
#| first layer the map has two bright spots off its middle, in the second one
#| in the middle, and flat patches go in there.
def show_frequency(layer, down, across):
    pattern = most_stretched(layer, down, across)
    out = on_circle(layer, pattern)
    figures.frequency(stretches[layer], down, across, pattern, out)


widgets.explore(
    show_frequency,
    static=[
        {"layer": "conv1", "down": 1, "across": 7},
        {"layer": "conv1", "down": 7, "across": 13},
        {"layer": "conv2", "down": 0, "across": 0},
        {"layer": "conv2", "down": 4, "across": 9},
    ],
    layer=widgets.choice(["conv1", "conv2"], "layer"),
    down=widgets.slider(list(range(-14, 14)), "waves down", start=1),
    across=widgets.slider(list(range(-14, 14)), "waves across", start=7),
)

# %% id="frequencies-numbers" tags=["result"]
for name in weights:
    largest = stretches[name][..., 0]
    # rounded: of two opposite frequencies, which are equal, the first
    spot = divmod(int(largest.round(decimals=9).argmax()), 28)
    wave = tuple(k if k <= 14 else k - 28 for k in spot)
    print(f"{name}: most at {wave} waves, {largest.max():.3f}")
    print(f"   the last σ there {stretches[name][spot][-1]:.3f};", end=" ")
    print(f"the first σ is nowhere below {largest.min():.3f}")
    assert torch.isclose(
        on_circle(name, most_stretched(name, *wave)).norm(),
        largest.max() * most_stretched(name, *wave).norm(),
        rtol=1e-10,
        atol=0,
    )

# %% [markdown] id="frequencies-note"
# conv1 has one singular value at each frequency, because it has one input channel. It stretches most
# a pattern of fine stripes, seven waves on 28 pixels. What it stretches least it still stretches by
# nearly half as much: nothing vanishes here, and nothing stands out. (The opposite frequency, with
# both signs changed, is the same pattern.)
#
# conv2 has 16 singular values at each frequency. Its largest belongs to a pattern without any wave:
# every channel constant, in a certain mixture. Other mixtures of constant channels are stretched
# less, down to less than a tenth as much, while at every frequency of this grid the best mixture is
# stretched at least two fifths as much. So without a wave the choice of the mixture makes more
# difference than the choice of the frequency does with the best mixture. (At other frequencies the
# worst mixture has not been looked at here.)

# %% [markdown] id="edge-head"
# ## 5. The edge
#
# Images do not close to a circle, and most layers pad with zeros. Then no wave comes out as itself,
# and the symbols do not give the norm. The paper's formula takes the circular norm all the same.
# How far the two lie apart you will see below, for two kernels. And is the circular one a *bound*
# for the other? A kernel of three taps, 1, -1 and 0, on lines of different lengths:

# %% id="edge" tags=["result"]
kernel = torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64)


def norm_of(n, circular):
    matrix = convolution_matrix(kernel, n, 1, circular=circular)
    return float(torch.linalg.matrix_norm(tensor(matrix), 2))


lengths = range(5, 31)
padded = np.array([norm_of(n, False) for n in lengths])
same = np.array([norm_of(n, True) for n in lengths])
more = np.array([norm_of(n + 1, True) for n in lengths])
print(f"n = 13, zeros:    {norm_of(13, False):.5f}")
print(f"n = 13, circular: {norm_of(13, True):.5f}")
print(f"n = 14, circular: {norm_of(14, True):.5f}")
below = [n for n, a, b in zip(lengths, padded, same, strict=True) if a > b]
print("circular on n pixels lies below for n =", below)
assert below == [n for n in lengths if n % 2]
assert (more >= padded - 1e-6).all()

# %% id="edge-figure"
#| alt: The norm over the number of pixels, with zeros outside and on circles
#| of as many pixels and of one more. The circles' jump up and down between
#| even and odd numbers; the one with zeros rises smoothly towards the upper
#| ones.
few_n = slice(0, 13)  # n = 5 to 17; beyond, the marks merge
plt.plot(lengths[few_n], padded[few_n], "o", markersize=4, label="zeros, n")
plt.plot(lengths[few_n], same[few_n], "x", markersize=6, label="circular, n")
plt.plot(
    *(lengths[few_n], more[few_n], "_"),
    markersize=11,
    label="circular, n + 1",
)
plt.xlabel("pixels n")
plt.ylabel("norm")
plt.title(f"taps 1, -1, 0: {whose(convolution_matrix)}")
plt.legend()
plt.show()

# %% [markdown] id="edge-note"
# For every odd n that was tried the cross lies below the dot: the circular norm on n pixels is too small, and no
# bound. This kernel likes the pattern +, -, +, -, and on an odd circle that does not close. A line
# with loose ends has no such trouble.
#
# The cure is a larger circle, of at least n + p points: in the figure, no bar lies below its dot.
# Why is that so? (The figure has one kernel and some lengths.)

# %% id="larger-grid"
quiz("larger-grid")

# %% [markdown] id="larger-grid-note"
# Put the line on a circle of n + p points or more, with zeros on the new ones. The two ends are then at least p zeros apart, so that the circular layer reads a zero
# wherever the padded one does. Every input of the padded layer has become an input of the circular
# one, of the same length, and every output is among the outputs there. So its stretch can be no
# larger than the circular norm on $N \ge n + p$ pixels, for every kernel. (With a stride, N must
# also be a multiple of it.)

# %% [markdown] id="edge-conv-head"
# So much for a bound. For the padded layer itself, the matrix of conv1 is small enough to hold its
# norm between two numbers with your two functions. (To save time they get its Gram matrix, 784 x 784,
# which stretches by the squares.) Beside it, the circular norms:

# %% id="edge-conv" tags=["result"]
gram = conv1_matrix.T @ conv1_matrix
first = torch.randn(784, generator=rng, dtype=torch.float64)
squared, edge_pattern = power_iteration(gram, first, 500)
edge_pattern = tensor(edge_pattern).reshape(28, 28)
lower = float(squared) ** 0.5
upper = float(norm_from_above(gram, 8)) ** 0.5
print(f"conv1, zero padding: between {lower:.4f} and {upper:.4f}")
for n in (28, 29, 30):
    norm = float(symbol_norm(weights["conv1"], n))
    print(f"circular on {n} x {n}: {norm:.4f}")
    assert n == 28 or lower <= norm, (
        "symbol_norm lies below what conv1 stretches: it is no bound."
    )
assert lower <= upper, (
    "norm_from_above lies below the stretch that power_iteration found: one "
    "of the two is wrong. Run their checks again."
)

# %% id="edge-pattern"
#| alt: The pattern that is stretched most, twice. On the circle it has stripes
#| of one strength everywhere; with zeros it is strongest in the middle and
#| fades out towards the edges.
print(f"power_iteration: {whose(power_iteration)};", end=" ")
print(f"norm_from_above: {whose(norm_from_above)};", end=" ")
print(f"symbol_norm: {whose(symbol_norm)}")
pictures = torch.stack([most_stretched("conv1", 1, 7)[0], edge_pattern])
titles = ["on the circle", "with zeros"]
axes = plt.subplots(1, 2, figsize=(4.2, 2.3))[1]
for axis, picture, title in zip(axes, pictures, titles, strict=True):
    top = float(picture.abs().max())
    axis.imshow(picture, cmap="RdBu_r", vmin=-top, vmax=top)
    axis.set_title(title)
    axis.axis("off")
plt.show()

# %% [markdown] id="edge-conv-note"
# All three circular norms lie a little above the padded layer's, by less than a percent. That on 28
# x 28 might have lain below, as in the figure; those on 29 x 29 and more are bounds, cheap ones and
# here good ones. The pattern that the padded layer stretches most looks like the same wave, fading
# towards the edges, where a pixel lacks some of its neighbours.

# %% [markdown] id="stride-head"
# ## 6. Stride
#
# A layer with stride Δ computes every Δ-th output, along both axes. Its matrix is that of stride 1
# with rows left out. On the pixels that are left, some waves can no longer be told apart. Two waves
# on 28 x 28 pixels, and what a stride of 4 keeps of them:

# %% id="alias-figure"
#| alt: Four grey images: a slow slanting wave, a much faster one, and what is
#| left of each where every fourth pixel is kept. The last two are the same.
grid = torch.arange(28, dtype=torch.float64) * 2 * math.pi / 28
figure, axes = plt.subplots(1, 4, figsize=(7.6, 2.1))
kept = []
for k, (f, g) in enumerate([(1, 2), (8, 9)]):
    wave = (f * grid[:, None] + g * grid).cos()
    kept.append(wave[::4, ::4])
    for axis, picture in zip(axes[k::2], (wave, kept[-1]), strict=True):
        axis.imshow(picture, vmin=-1, vmax=1)
        axis.axis("off")
    axes[k].set_title(f"({f}, {g}) waves")
    axes[k + 2].set_title(f"every 4th of ({f}, {g})")
plt.show()
assert (kept[0] - kept[1]).abs().max() < 1e-12

# %% [markdown] id="alias-note"
# The two on the right are one and the same picture. This is *aliasing*: on the grid of 28 / 4 = 7
# points, frequencies that differ by 7 are one. So Δ² input frequencies, ξ + l · n/Δ with l in
# {0, ..., Δ - 1}², end in one output frequency ξ. You saw it in section 4 along one axis: three
# diagonals for Δ = 3. Hence the paper's formula for a layer with stride Δ on n x n pixels,
#
# $$\lVert W \rVert = \max_{\xi \in [0, n/\Delta)^2} \lVert A(\xi) \rVert, \qquad
# A(\xi) = \bigl( \Delta^{-2} \, \hat w_{c,d}(\xi + l \cdot n / \Delta) \bigr),$$
#
# where A(ξ) has a row for each output channel d and a column for each pair (c, l): a D x (C·Δ²)
# matrix. The paper does not say how its transform $\hat w$ is normalised. For Δ = 1 only the plain
# sum of section 4 gives the norm. But is the prefactor right, then, for Δ > 1?
#
# Try the simplest layer there is: one channel, stride 4, and a kernel of a single tap 1. It keeps
# every 4th pixel as it is. What is its norm? And, which is the number to predict: what is the norm of
# the printed matrix, with Δ⁻²? (All $\hat w$ are 1.)

# %% id="prefactor-guess"
### BEGIN SOLUTION
predict("prefactor", 0.25)
### END SOLUTION
### BEGIN STUB
#| # the second of the two: the norm of the printed matrix, with Δ⁻²
#| predict("prefactor", None)  # a number, or (low, high)
### END STUB

# %% id="prefactor" tags=["result"]
keep = nn.Conv2d(1, 1, 1, stride=4, bias=False)
nn.init.ones_(keep.weight)
aliases = torch.ones(1, 4**2)  # the 16 aliases of any frequency
matrix = spectral.explicit_matrix(keep, (1, 8, 8))
print(f"the layer: {torch.linalg.matrix_norm(matrix, 2):.3f}")
for power in (0, -1, -2):
    norm = torch.linalg.matrix_norm(4.0**power * aliases, 2)
    print(f"with Δ^{power}: {norm:.3f}")

# %% id="prefactor-score"
printed_norm = torch.linalg.matrix_norm(aliases / 4**2, 2)
score("prefactor", float(printed_norm))

# %% [markdown] id="prefactor-note"
# A layer that keeps pixels as they are has norm 1: a change of one kept pixel is passed on as it is.
# Only one of the three prefactors gives that.

# %% [markdown] id="strided-norm-task" task="strided-norm"
# Write the norm of a circular convolution with stride Δ on n x n pixels, n a multiple of Δ, with the
# prefactor that the layer asks for.


# %% id="strided-norm" exercise="strided-norm"
def strided_norm(weight, n, stride):
    """The operator norm of a circular convolution with a stride.

    weight: (D, C, height, width), the kernel, at most n high and wide; n:
    the images have n x n pixels; stride: Δ, a divisor of n. Returns a
    scalar, from the symbols: without the layer's matrix.
    """
    ### BEGIN SOLUTION
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    m = n // stride
    blocks = [
        symbols[a * m : (a + 1) * m, b * m : (b + 1) * m]
        for a in range(stride)
        for b in range(stride)
    ]
    together = torch.cat(blocks, dim=-1) / stride  # (m, m, D, C·Δ²)
    return torch.linalg.svdvals(together).max()
    ### END SOLUTION


# %% id="strided-norm-check" check="strided-norm"
strided_norm = check("strided-norm", strided_norm)

# %% [markdown] id="settle-head"
# One kernel is no proof for all, and five are none either; the reason why it holds for all stands
# below. Random kernels of 5 x 5 taps, 2 channels to 3, on 12 x 12 pixels, against the largest
# singular value of the explicit matrix:

# %% id="settle" tags=["result"]
print(" Δ   matrix   strided_norm  with Δ⁻²  symbol_norm")
for stride in (1, 2, 3, 4, 6):
    layer = nn.Conv2d(2, 3, 5, stride, 2, padding_mode="circular")
    layer.weight.data = torch.randn(3, 2, 5, 5, generator=rng)
    layer = layer.double().requires_grad_(False)
    matrix = spectral.explicit_matrix(layer, (2, 12, 12))
    true = float(torch.linalg.matrix_norm(matrix, 2))
    printed = spectral.operator_norm(layer, (2, 12, 12)) / stride
    ours = float(strided_norm(layer.weight, 12, stride))
    whole = float(symbol_norm(layer.weight, 12))
    print(f"{stride:2} {true:8.4f} {ours:14.4f} {printed:8.4f}", end="")
    print(f" {whole:13.4f}")
    assert true < min(ours, whole) * 1.0001, (
        f"With stride {stride} the matrix stretches by {true:.4f}, more than "
        "strided_norm or symbol_norm says: that one is no bound."
    )

# %% id="settle-whose"
print(f"strided_norm: {whose(strided_norm)};", end=" ")
print(f"symbol_norm: {whose(symbol_norm)}")

# %% [markdown] id="settle-note"
# Δ⁻¹ gives the norm, to all digits printed. (If `strided_norm` differs from the matrix here, it is yours, and
# its check said what it is instead.) The printed Δ⁻² gives the number in the next column, which
# is Δ times too small and no bound: for a layer like AlexNet's first, with stride 4, by a factor of 4.
#
# Where does it come from, for every kernel? A wave on n pixels has length 1 if it is divided by √n.
# Every Δ-th pixel of it has a Δ-th of the squared length, so the length 1/√Δ. Two axes: Δ⁻¹. (Δ⁻²
# would be right for squared norms.) The last column is the norm without the stride. It is a bound
# as well, since leaving out outputs stretches nothing, but a loose one.

# %% [markdown] id="others-head"
# ## 7. Layers that are no matrices
#
# **Units.** A rectifier or a sigmoid acts on each number by itself. If its slope is nowhere above s,
# each number changes by at most s times what it did before, and so does the length of all together.
# The largest slopes, and those that a network really uses (the sigmoids of FC100-100-10, on 1000
# images):

# %% id="slopes" tags=["result"]
grid = torch.linspace(-8, 8, 1601, dtype=torch.float64, requires_grad=True)
for name in ("relu", "tanh", "sigmoid"):
    (slope,) = torch.autograd.grad(getattr(torch, name)(grid).sum(), grid)
    print(f"{name:8} largest slope {slope.max():.2f}")
images = load_mnist("test", "cpu").sample(1000, seed=6).images
sigmoids = zoo.load("FC100-100-10", device="cpu")
for layer in ("sigmoid1", "sigmoid2"):
    h = models.activations(sigmoids, images, layer)
    print(f"{layer}: mean slope {(h * (1 - h)).mean():.3f}")
    assert (h * (1 - h)).max() <= 0.25

# %% [markdown] id="slopes-note"
# The bound of 1/4 for the sigmoid is safe, and on real images the average slope is well below it.

# %% id="sigmoid-slope"
quiz("sigmoid-slope")

# %% [markdown] id="pool-head"
# **Max pooling** puts out the largest number of each window. The paper says: it is contractive, its
# constant is at most 1. AlexNet's windows are 3 x 3, at a stride of 2.

# %% id="pool-guess"
### BEGIN SOLUTION
predict("overlapping-pool", (1, 2))
### END SOLUTION
### BEGIN STUB
#| # change of the output / change of the input, at most, for 3 x 3, stride 2
#| predict("overlapping-pool", None)  # a number, or (low, high)
### END STUB

# %% id="pool" tags=["result"]
dark = torch.zeros(1, 1, 7, 7)
bright = dark.clone()
bright[0, 0, 2, 2] = 1
print(f"the input changes by {(bright - dark).norm():.0f}")
for size, stride in ((2, 2), (3, 2), (3, 1)):
    change = F.max_pool2d(bright, size, stride)
    change = change - F.max_pool2d(dark, size, stride)
    print(f"{size} x {size}, stride {stride}: outputs that change", end=" ")
    print(f"{int(change.sum())}, length of the change {change.norm():.0f}")

# %% id="pool-score"
score("overlapping-pool", float(F.max_pool2d(bright, 3, 2).norm()))

# %% [markdown] id="pool-note"
# One bright pixel is in four windows of 3 x 3 at stride 2, and changes all four outputs by 1: a
# change of length √4 = 2. Nor can it be more. A maximum changes by no more than the largest change in
# its window, so its square by no more than the sum of the squared changes there. Add that up
# over all windows: each pixel is counted as often as there are windows that it is in. Without overlap
# that is once, and the paper is right. AlexNet has three such layers, and for them it is not.

# %% [markdown] id="pooling-constant-task" task="pooling-constant"
# Optional: write the constant of max pooling, for images of one, two or three dimensions. Mind images that are
# so small that few windows fit.


# %% id="pooling-constant" exercise="pooling-constant"
def pooling_constant(kernel, stride, n, dimensions=2):
    """The Lipschitz constant of max pooling, in L2.

    kernel, stride: of the windows, along every axis; n: the images have n
    pixels along every axis, n >= kernel; no padding; dimensions: of the
    images. Returns the root of the largest number of windows that one pixel
    is in.
    """
    ### BEGIN SOLUTION
    windows = [0] * n
    for start in range(0, n - kernel + 1, stride):
        for i in range(start, start + kernel):
            windows[i] += 1
    return max(windows) ** (dimensions / 2)
    ### END SOLUTION


# %% id="pooling-constant-check" check="pooling-constant"
pooling_constant = check("pooling-constant", pooling_constant)

# %% [markdown] id="contrast-head"
# (Optional, up to section 8.)
#
# **Contrast normalisation** divides a vector x by a power of its own length,
#
# $$\frac{x}{(\varepsilon + \lVert x \rVert^2)^\gamma}, \qquad \tfrac12 \le \gamma \le 1 .$$
#
# Its slope across x is $(\varepsilon + \lVert x \rVert^2)^{-\gamma}$. Along x there is another factor,
# $1 - 2 \gamma \lVert x \rVert^2 / (\varepsilon + \lVert x \rVert^2)$, which lies between -1 and 1.
# So both are largest at x = 0, and the constant is $\varepsilon^{-\gamma}$, as the paper says. Along a
# line:

# %% id="contrast" tags=["result"]
#| alt: Three curves of a number after contrast normalisation over the number
#| itself, for three constants. All run from minus one to one through nought;
#| the smaller the constant, the steeper the middle.
line = torch.linspace(-2, 2, 401, dtype=torch.float64, requires_grad=True)
for epsilon in (1.0, 0.1, 0.01):
    out = line / (epsilon + line**2) ** 0.5
    (slope,) = torch.autograd.grad(out.sum(), line)
    print(f"ε = {epsilon}: largest slope {slope.max():.3f},", end=" ")
    print(f"ε^-γ = {epsilon**-0.5:.3f}")
    plt.plot(line.detach(), out.detach(), label=f"ε = {epsilon}")
    assert abs(slope.max() - epsilon**-0.5) < 1e-9
plt.xlabel("x")
plt.ylabel("x normalised, γ = 1/2")
plt.legend()
plt.show()

# %% [markdown] id="contrast-note"
# The smaller ε, the steeper it is at 0. With ε small enough, a faint pattern on a dark patch comes
# out nearly as strong as any. In the limit ε = 0 this curve (γ = 1/2) jumps, and there is no
# constant at all.
#
# **Batch normalisation**, once it is trained, multiplies each channel by a number and adds another.
# The numbers are counted into the convolution before it.
#
# **Groups.** AlexNet was trained on two GPUs, and in three of its convolutions each half of the
# output channels reads one half of the input channels only.

# %% id="groups"
quiz("groups")

# %% [markdown] id="layers-head"
# ## 8. The layers of a network
#
# Now all of it for one network. `spectral.norm_row(layer, input_shape)` of the course does what you
# have built, for every kind of layer, and gives a bound from below and one from above. CONV, layer by
# layer; with it the norm of each reshaped kernel, and the norm that each layer had before training:

# %% id="layers" tags=["result"]
shapes = {
    "conv1": (1, 28, 28),
    "pool1": (16, 28, 28),
    "conv2": (16, 14, 14),
    "pool2": (32, 14, 14),
    "fc1": (1568,),
}
untrained = models.build("CONV", seed=0)
head = ["layer", "size", "stride", "at least", "at most"]
head += ["reshaped kernel", "before training"]
rows = []
for name, shape in shapes.items():
    row = spectral.norm_row(getattr(conv, name), shape)
    cells = [name, row.size, row.stride[0] if row.stride else ""]
    cells += [f"{row.lower:.5f}", f"{row.upper:.5f}", "", ""]
    if name in weights:
        reshaped = torch.linalg.matrix_norm(weights[name].flatten(1), 2)
        cells[5] = f"{reshaped:.3f}"
    if not name.startswith("pool"):
        before = spectral.operator_norm(getattr(untrained, name), shape)
        cells[6] = f"{before:.3f}"
        assert 1 < before < row.lower
    rows.append(cells)
    assert row.upper / row.lower < 1 + 1e-6
    assert name not in ("pool1", "pool2") or (
        row.lower <= float(pooling_constant(2, 2, shape[1])) * (1 + 1e-9)
    )
plotting.table(head, rows)

# %% [markdown] id="layers-note"
# Each of the three layers with weights can stretch a change several times over, and training has
# made each of them stretch more. ("Before training" are the very weights from which this CONV was
# trained, those of seed 0. The pools do not overlap: 1.) So by its norm the first layer *can* make
# a change grow, as the paper says. Does instability begin there? Take adversarial perturbations of
# CONV (lesson 04), and see how much conv1 stretches them; beside them noise, and differences of two
# digits. And the other way round: add to each image the pattern that conv1 stretches most, made as
# large as the image's own adversarial perturbation. (No box here: a pixel may leave [0, 1].) How
# many of these does CONV misread?

# %% id="pattern-guess"
### BEGIN SOLUTION
predict("fooled-by-pattern", (0, 10))
### END SOLUTION
### BEGIN STUB
#| # share of the images, each with the pattern added, that CONV misreads:
#| predict("fooled-by-pattern", None)  # in percent: a number, or (low, high)
### END STUB

# %% id="pattern"
network = zoo.load("CONV")
few = load_mnist("train").sample(40, seed=6)
few = few[models.predictions(network, few.images) == few.labels]
attack = attacks.minimal_adversarial(
    network, few.images, attacks.recorded_targets(few), few.labels
)
assert attack.success.all()
clean = few.images.cpu().double()
r = attack.images.cpu().double() - clean
sizes_of_r = r.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
print(f"CONV, {len(few)} images; mean size of r {sizes_of_r.mean():.2f} (L2)")

# %% id="pattern-measures"
noise = torch.randn(r.shape, generator=rng, dtype=torch.float64)
best = edge_pattern.reshape(1, 1, 28, 28) / edge_pattern.norm()


def times_conv1(x):
    out = F.conv2d(x, weights["conv1"], padding=1)
    return out.flatten(1).norm(dim=1) / x.flatten(1).norm(dim=1)


def misread(change):
    """The share of images misread with a change as large as their own r."""
    change = change / change.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
    changed = (clean + change * sizes_of_r).float().to(few.images.device)
    guessed = models.predictions(network, changed)
    return float((guessed != few.labels.to(guessed.device)).double().mean())


# %% [markdown] id="pattern-changes"
# Five changes of each image, and both measures of each:

# %% id="pattern-stretch"
changes = {
    "adversarial": r,
    "noise": noise,
    "another digit": clean.roll(1, 0) - clean,
    "the pattern": best.expand_as(r),
    "minus the pattern": -best.expand_as(r),
}
stretched = {name: times_conv1(change) for name, change in changes.items()}
share_misread = {name: misread(change) for name, change in changes.items()}
for name, each in stretched.items():
    print(f"{name:18} stretched {each.mean():.2f} times,", end=" ")
    print(f"misread {round(share_misread[name] * len(few))} of {len(few)}")
assert 1 < stretched["adversarial"].mean() / stretched["noise"].mean() < 1.12
assert stretched["the pattern"].min() > 1.25 * stretched["adversarial"].mean()
assert share_misread["adversarial"] == 1
assert share_misread["the pattern"] < 0.1

# %% id="pattern-score"
score("fooled-by-pattern", 100 * share_misread["the pattern"])

# %% [markdown] id="pattern-note"
# conv1 stretches adversarial perturbations a few percent more than noise, on average over these
# images; the differences of two digits lie in between. And what it stretches most fools CONV, at
# this size, about as seldom as noise does: the counts are printed above. To be large after one
# layer is one thing; to be large in the direction that the *next* layers listen to is another. A
# norm is the answer for the worst input of one layer. Nothing says that the worst inputs of all
# layers meet in one image. So a large norm permits adversarial images and does not make them; only
# a small one says something for certain. The paper says so, too, and lesson 07 is about what such a
# promise is worth.
#
# ### Table 5 (optional)
#
# The paper's own table is of AlexNet, trained on ImageNet. Its trained weights do not come with
# this course: those of torchvision need a download, and are of a network with fewer channels. So
# this is a comparison with AlexNet *before* training. Its first weights were drawn at random,
# normal, with standard deviation 0.01 (Krizhevsky, Sutskever and Hinton 2012), and such weights we
# can draw, too. The norms of all eight layers take the library a minute, so they come from a
# record. That of the first layer you can bound yourself: with zero padding of 2, on a circle of
# {{=(224 + 2 + 3) // 4 * 4}} x {{=(224 + 2 + 3) // 4 * 4}} pixels, as the next multiple of 4 after 224 + 2.

# %% id="alexnet-first"
path = storage.ASSETS / "records" / "table5.json"
table5 = json.loads(path.read_text(encoding="utf-8"))
start = torch.Generator().manual_seed(table5["seed"])
weight = table5["stddev"] * torch.randn(96, 3, 11, 11, generator=start)
bound = float(strided_norm(weight, 228, 4))
entry = table5["layers"]["Conv. 1"]
print(f"Conv. 1, first weights: at most {bound:.4f} ({whose(strided_norm)});")
print(f"the record: between {entry['lower']:.4f} and {entry['upper']:.4f}")
assert entry["lower"] < bound, (
    "strided_norm lies below what the layer is known to stretch: it is no "
    "bound."
)

# %% id="table5" tags=["result"]
rows, ratios = [], {}
for name, (size, stride, printed) in paper.TABLE5.items():
    entry = table5["layers"][name]
    ratios[name] = printed / entry["upper"]
    cells = [name, size, stride or "", f"{entry['upper']:.2f}"]
    rows.append([*cells, f"{printed:g}", f"{ratios[name]:.1f}"])
    assert entry["size"] == size and entry["upper"] < 1.01 * entry["lower"]
head = ["layer", "size", "stride", "before training", "Table 5", "ratio"]
plotting.table(head, rows)

# %% id="table5-asserts" tags=["solution-only"]
convolutions = [ratios[n] for n in ratios if n.startswith("Conv")]
connected = [ratios[n] for n in ratios if n.startswith("FC")]
assert 1.9 < min(connected) < max(connected) < min(convolutions) < 11

# %% [markdown] id="table5-note"
# All printed bounds lie above those of the first weights, by factors from two (FC. 1) to ten (Conv.
# 5), and in every convolution by more than in any fully connected layer. So the sizes alone, with
# such first weights, do not make a layer stretch like that. If the printed bounds are as tight as
# ours, and that network began with such weights, it was training that did. (In CONV training
# multiplied the norms of conv2 and fc1, and that of conv1 grew by a quarter. Table 5
# gives the sizes without groups, and so are ours.)
#
# With a connection, `python benchmarks/table5.py --trained` prints the table for torchvision's
# trained AlexNet. One layer is one call:
#
# ```python
# net = torchvision.models.alexnet(weights="IMAGENET1K_V1")
# spectral.norm_row(net.features[0], (3, 224, 224))
# ```
#
# What the table leaves out: AlexNet has three max-poolings of 3 x 3 with stride 2, which the paper
# counts as 1. With windows that overlap the constant is another (section 7):

# %% id="alexnet-pools" tags=["result"]
for n in (55, 27, 13):
    constant = spectral.operator_norm(nn.MaxPool2d(3, 2), (1, n, n))
    yours_or_not = float(pooling_constant(3, 2, n))
    print(f"3 x 3, stride 2, on {n} x {n}: {constant:.0f};", end=" ")
    print(f"pooling_constant says {yours_or_not:.0f}")

# %% id="alexnet-pools-whose"
print(f"pooling_constant: {whose(pooling_constant)}")

# %% id="table-5"
### BEGIN SOLUTION
answer(
    "table-5",
    "The prefactor: with Δ⁻² as printed the number would be four times too "
    "small, and the bound 11. And the grid: on the image's own 224 x 224 "
    "points a circular norm is no bound for a layer with zero padding; it "
    "takes 228 x 228, which changes little.",
)
### END SOLUTION
### BEGIN STUB
#| answer("table-5", """
#| ...
#| """)
### END STUB

# %% [markdown] id="now"
# ## What we know now (November 2026)
#
# - **The paper's suggestion.** Section 4.3 ends by proposing to penalise the layers' bounds in
#   training, without trying it. Yoshida and Miyato (2017) did, with one step of power iteration per
#   update; Miyato et al. (2018) divided the weights by that number instead (*spectral
#   normalisation*, for generative networks). Both take the reshaped kernel's norm for the
#   convolution's.
# - **The norm of the layer itself.** Sedghi, Gupta and Long (2019) gave all singular values of a
#   circular convolution with stride 1, as in section 4, and trained with clipped ones: a residual
#   network's test error on CIFAR-10 went from 6.2 to 5.3 %. Gouk et al. (2021) keep the norm of every
#   layer below a chosen one by projection in training, with power iteration on the convolution
#   itself.
# - **Bounds from above.** Singla and Feizi (2021) bound a convolution by four reshapings of its kernel,
#   independent of the image's size. Araujo et al. (2021) bound it by the largest symbol over
#   *all* frequencies. Delattre et al. (2023) introduced Gram iteration, on the symbols; their
#   follow-up (2024) takes up zero padding, which the circular norm leaves open.
# - **And the network?** Norms of layers multiply to a bound for the network that is often hopelessly
#   large. Scaman and Virmaux (2018) showed that the exact constant is NP-hard to compute, already for
#   two layers. Tsuzuku, Sato and Sugiyama (2018) turned bounds into certificates and trained for them:
#   lesson 07.
#
# <details><summary>References</summary>
#
# - Araujo, Negrevergne, Chevaleyre, Atif: On Lipschitz regularization of convolutional layers using
#   Toeplitz matrix theory. AAAI 2021, arXiv 2006.08391
# - Delattre, Barthélemy, Araujo, Allauzen: Efficient bound of Lipschitz constant for convolutional
#   layers by Gram iteration. ICML 2023, arXiv 2305.16173
# - Delattre, Barthélemy, Allauzen: Spectral norm of convolutional layers with circular and zero
#   paddings. 2024, arXiv 2402.00240
# - Gouk, Frank, Pfahringer, Cree: Regularisation of neural networks by enforcing Lipschitz continuity.
#   Machine Learning 110 (2021), arXiv 1804.04368
# - Krizhevsky, Sutskever, Hinton: ImageNet classification with deep convolutional neural networks.
#   NIPS 2012
# - Miyato, Kataoka, Koyama, Yoshida: Spectral normalization for generative adversarial networks. ICLR
#   2018, arXiv 1802.05957
# - Scaman, Virmaux: Lipschitz regularity of deep neural networks: analysis and efficient estimation.
#   NeurIPS 2018, arXiv 1805.10965
# - Sedghi, Gupta, Long: The singular values of convolutional layers. ICLR 2019, arXiv 1805.10408
# - Singla, Feizi: Fantastic Four: differentiable bounds on singular values of convolution layers. ICLR
#   2021, arXiv 1911.10258
# - Tsuzuku, Sato, Sugiyama: Lipschitz-margin training: scalable certification of perturbation
#   invariance for deep neural networks. NeurIPS 2018, arXiv 1802.04034
# - Yoshida, Miyato: Spectral norm regularization for improving the generalizability of deep learning.
#   2017, arXiv 1705.10941
#
# </details>

# %% [markdown] id="take-away"
# ## What to take away
#
# - The most that a layer can stretch a change is its largest singular value. Power iteration
#   approaches it from below, powers of the Gram matrix from above.
# - In waves a circular convolution falls apart into small matrices, one for each frequency. The
#   norm of the reshaped kernel is another number, and no bound from above.
# - Zero padding is not circular: for a bound take a circle of n + p pixels or more.
# - The largest slope is 1 for rectifiers and tanh, 1/4 for the sigmoid, $\varepsilon^{-\gamma}$ for
#   contrast normalisation.
# - A large norm permits instability and does not prove it: what conv1 stretches most makes CONV misread
#   hardly any of our images, as noise of that size does.
# - **"The norm of a convolution with stride is the supremum of A(ξ), with Δ⁻²" (section 4.3):
#   confirmed but for the prefactor**, which is Δ⁻¹ for the plain Fourier transform.
# - **"Max pooling is contractive" (section 4.3): only without overlap.** AlexNet's own pools have the
#   constant 2 each.
# - **"Instability can appear from the first convolutional layer on" (section 4.3): it can, by the
#   norm. In our CONV (one network, 40 images) hardly a sign of it was seen:** on average conv1
#   stretches adversarial perturbations a few percent more than noise, and than the differences of
#   two digits.
# - **Table 5: not reproduced here**, for want of the trained weights. Its bounds lie above those of
#   weights drawn as its training is said to have begun, in all eight layers.
#
# **Next:** lesson 07 puts the layers together, and asks what the product promises.

# %% id="progress"
progress(6)
