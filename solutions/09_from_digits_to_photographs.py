# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# ---

# %% [markdown] id="title"
# # 9. From digits to photographs
#
# Half of the paper's evidence is on photographs: AlexNet calls a school bus, a temple and a dog an
# *ostrich, Struthio camelus*, after changes that nobody sees (Figure 5). Here you do that to
# photographs, with a network that fits on a laptop, and then ask of it what the paper asks: do its
# units mean anything (Figures 3 and 4), can a unit that detects something be switched off (Figure 6), how
# much can its layers stretch (Table 5), and do its examples fool its relatives?
#
# AlexNet's weights are in no package that can be installed, so the network is another:
# EfficientNet-Lite0 (Tan and Le, 2019), 4.7 million weights, right on 75 % of ImageNet's test images by its
# authors. The photographs are thirteen that two Python packages ship. They are no sample of anything, and
# what is counted here is counted of these.
#
# **After this lesson** you can
#
# - say how large a change of a photograph is, and on which scale;
# - lead a network of 1000 classes to a class of your choice, and check it with noise of equal length;
# - say what is left of an adversarial picture in a file, and make one that stays;
# - read a single unit as a detector, and switch it off;
# - fold a batch norm, and say why a table of norms without that means nothing.
#
# **Before it** you need the gradient step of lesson 08 and what a distortion is (lesson 00). Lessons 02 and 06
# have the measures of units and the norms of layers.
#
# **Time:** about 75 minutes; the cells compute for about a minute and a half on two processor cores. Every
# exercise can be skipped: the lesson then goes on with the course's version.

# %% id="imports"
import copy

import matplotlib.pyplot as plt
import scipy
import torch
import torch.nn.functional as F

from course_lib import attacks, device, imagenet, models, paper, plotting
from course_lib import spectral, units, widgets, zoo
from course_lib.exercises import answer, as_tensor, check, predict
from course_lib.exercises import progress, quiz, score
from course_lib.plotting import lesson09 as figures

plotting.style()
print(imagenet.ready())

# %% [markdown] id="look-note"
# If that sentence says that something is not installed, the cells below cannot run; its command installs it.

# %% id="look" tags=["result"]
net = imagenet.load("efficientnet-lite0", device="cpu")
names = ["chelsea", "coffee", "rocket", "motorcycle"]
names += ["camera", "china", "flower", "astronaut"]
photos = imagenet.photographs(names=names, device="cpu").images
guesses = imagenet.top_classes(net(photos), 1)
before = [row[0][0] for row in guesses]
for name, row in zip(names, guesses, strict=True):
    print(f"{name:12} {row[0][0]}, {row[0][1]:.0%}")

# %% id="photographs"
#| alt: Four photographs with the network's word for each: a cat's face, a cup
#| of coffee, a rocket at its launch pad at night, a red motorcycle.
#| alt: Four photographs with the network's word for each: a man behind a
#| camera on a tripod, a Chinese pagoda, an orange flower, an astronaut with
#| her helmet.
titles = [f"{a}: {b}" for a, b in zip(names, before, strict=True)]
figures.show(figures.beside(photos[:4], titles[:4]))
figures.show(figures.beside(photos[4:], titles[4:]))

# %% [markdown] id="look-read"
# Most answers are near. A camera man is read as a tripod, a dahlia as a daisy, a Chinese palace as a palace; ImageNet
# has no class *person*, so the astronaut becomes something with a helmet, and the network is not sure of it.

# %% [markdown] id="distortion-head"
# ## 1. How large is a change?
#
# The paper's measure is $\sqrt{\sum_i (x'_i - x_i)^2 / n}$, with n the number of all the numbers of an image:
# 3 · 224 · 224 here. Its average over 64 photographs is {{=paper.OSTRICH_DISTORTION|.6f}}.

# %% id="which-scale"
quiz("which-scale")

# %% [markdown] id="photo-distortion-task" task="photo-distortion"
# Write it for pictures of any scale: floats up to 1, bytes up to 255, or 12 bits from a camera.


# %% id="photo-distortion" exercise="photo-distortion"
def photo_distortion(original, adversarial, white):
    """The distortion of each photograph, on the scale where white is 1.

    original, adversarial: (N, 3, H, W) of the same type, floats or
    uint8, from 0 to white. Returns (N,), sqrt(mean((x' - x)²)).
    """
    ### BEGIN SOLUTION
    change = (adversarial.double() - original.double()) / white
    return change.square().mean(dim=(1, 2, 3)).sqrt()
    ### END SOLUTION


# %% id="photo-distortion-check" check="photo-distortion"
photo_distortion = check("photo-distortion", photo_distortion)

# %% [markdown] id="aim-head"
# ## 2. Towards the ostrich
#
# Lesson 08's step went away from the right class. This one goes *to* a class: along the gradient that makes
# the cross-entropy of that class smaller.

# %% [markdown] id="aim-step-task" task="aim-step"
# Write one step, for all photographs at once.


# %% id="aim-step" exercise="aim-step"
def aim_step(net, images, classes, length):
    """One step of L2 length ``length`` that makes ``classes`` likelier.

    net: images (N, 3, H, W) -> logits (N, K); images: in [0, 1];
    classes: (N,). Every image goes down its own gradient of the
    cross-entropy of its class, and is clipped to [0, 1]; without a
    gradient it stays. Returns (N, 3, H, W), without a history.
    """
    ### BEGIN SOLUTION
    x = images.detach().requires_grad_()
    loss = F.cross_entropy(net(x), classes, reduction="sum")
    gradient = torch.autograd.grad(loss, x)[0]
    step = F.normalize(gradient.flatten(1)).view_as(images)
    return (images - length * step).clamp(0, 1)
    ### END SOLUTION


# %% id="aim-step-check" check="aim-step"
aim_step = check("aim-step", aim_step)

# %% [markdown] id="walk-head"
# Step after step, until the network says ostrich. A step of length 0.15 is a distortion of 0.0004.

# %% id="walk"
ostrich = imagenet.class_index(imagenet.OSTRICH)
aims = torch.full((len(photos),), ostrich)
walked, needed = photos.clone(), torch.zeros(len(photos)).int()
for _ in range(20):
    go = models.predictions(net, walked) != aims
    if not go.any():
        break
    moved = aim_step(net, walked[go], aims[go], 0.15)
    walked[go] = as_tensor(moved, dtype=torch.float32)
    needed += go
for name, count in zip(names, needed.tolist(), strict=True):
    print(f"{name:12} is an ostrich after {count} steps")
assert (models.predictions(net, walked) == aims).all()
assert needed.max() < 20

# %% [markdown] id="near-head"
# A walk of fixed steps ends too far: nothing takes back what an early step has added, and the last one leads past
# the boundary. `imagenet.aimed` takes 40 steps, and after each scales the whole change: a tenth shorter than it was
# where the picture was an ostrich, a tenth longer where it was not. It keeps the nearest ostrich that it met (DDN,
# Rony and others, 2019).

# %% id="near"
found = imagenet.aimed(net, photos, aims, 40)
far = photo_distortion(photos, walked, 1.0)
near = photo_distortion(photos, found.images, 1.0)
far = as_tensor(far, dtype=torch.float32)
near = as_tensor(near, dtype=torch.float32)
head = ["photograph", "read as", "walked", "aimed", "the paper's / aimed"]
rows = []
for k, name in enumerate(names):
    ratio = paper.OSTRICH_DISTORTION / near[k]
    rows.append([name, before[k], f"{far[k]:.5f}", f"{near[k]:.5f}"])
    rows[-1].append(f"{ratio:.1f}")
assert found.success.all()
assert near.mean() < far.mean()
plotting.table(head, rows)

# %% id="gallery"
#| alt: Three rows of four: the photographs of the cat, the coffee, the rocket
#| and the motorcycle; the changes, enlarged many times, as coloured grain on
#| grey; and the sums, each of which looks like the photograph and is read as
#| an ostrich.
#| alt: Three rows of four: the photographs of the man with the camera, the
#| pagoda, the flower and the astronaut; the changes, enlarged many times, as
#| coloured grain on grey; and the sums, each of which looks like the
#| photograph and is read as an ostrich.
after = imagenet.top_classes(net(found.images), 1)
after = [f"{row[0][0]}, {row[0][1]:.0%}" for row in after]
for some in (slice(0, 4), slice(4, 8)):
    pair = photos[some], found.images[some]
    figures.show(figures.gallery(*pair, before[some], after[some]))

# %% [markdown] id="gallery-read"
# Above the photograph, below the ostrich, between them the change, enlarged: grey is none, and one number of
# two hundred lies beyond black and white. Nothing is asked of the percentages: ostrich has to be the first of a
# thousand answers, and no more.
#
# These are eight photographs, with 40 gradients each. In the course's record (`benchmarks/photographs.py`, {{=records["photographs"]["ostrich"]["steps"]}} gradients
# each) all thirteen become ostriches, at a distortion of {{=sum(records["photographs"]["ostrich"]["distortion"]) / len(records["photographs"]["ostrich"]["distortion"])|.5f}} in the mean. The
# paper's AlexNet needed {{=paper.OSTRICH_DISTORTION / (sum(records["photographs"]["ostrich"]["distortion"]) / len(records["photographs"]["ostrich"]["distortion"]))|.1f}} times as much. That compares two networks,
# two searches and two sets of photographs at once, and so explains nothing by itself.

# %% [markdown] id="noise-head"
# ## 3. The control: noise of the same length
#
# Is it the length of the change, or its direction? Each of the eight photographs gets five draws of noise that is
# exactly as long as its change (and is not clipped to the box). How many of the 40 change what the network says?
# Guess first.

# %% id="noise-guess"
### BEGIN SOLUTION
predict("noise-fools", (0, 3))
### END SOLUTION
### BEGIN STUB
#| predict("noise-fools", None)  # of 40: a number, or (low, high)
### END STUB

# %% id="noise"
rng = device.generator(0)
changes = found.images - photos
said = models.predictions(net, photos)
changed = {1: 0, 10: 0, 50: 0}
for times in changed:
    for _ in range(5):
        noise = times * imagenet.equal_noise(changes, rng)
        other = models.predictions(net, photos + noise) != said
        changed[times] += int(other.sum())
for times, count in changed.items():
    print(f"noise {times:2} times as long: {count} of 40 answers change")
assert changed[1] < 4 and changed[1] < changed[50]

# %% id="noise-score"
score("noise-fools", changed[1])

# %% [markdown] id="noise-read"
# In the record, of {{=records["photographs"]["ostrich"]["draws"]}} draws for each of thirteen photographs {{=sum(records["photographs"]["ostrich"]["changed_by_noise"])}} changed what the network says. The direction does it. Noise
# that is much longer changes some answers, too: so would another photograph.

# %% id="two-networks"
quiz("two-networks")

# %% [markdown] id="line-head"
# ### Along the line
#
# From the photograph (0) to its ostrich (1), and on in the same direction. Move it:

# %% id="line-runs"
TIMES = [0, 0.5, 0.9, 1, 1.5, 2, 4, 8, 16]
seen = {}
for name, photo, change in zip(names, photos, changes, strict=True):
    line = [(photo + t * change).clamp(0, 1) for t in TIMES]
    read = imagenet.top_classes(net(torch.stack(line)), 3)
    seen[name] = dict(zip(TIMES, zip(line, read, strict=True), strict=True))


# %% id="line-slider"
#| alt: The cat's face after the chosen part of the change, and the three most
#| probable classes as bars. The photograph looks the same throughout; at first
#| three kinds of cat lead, in the end the ostrich, before other birds.
def show_line(photograph, times):
    picture, read = seen[photograph][times]
    axes = plt.subplots(1, 2, figsize=(6.4, 2.4))[1]
    axes[0].imshow(picture.permute(1, 2, 0))
    axes[0].axis("off")
    words, shares = zip(*read, strict=True)
    axes[1].barh(words[::-1], shares[::-1])
    axes[1].set(xlim=(0, 1), xlabel="probability")


widgets.explore(
    show_line,
    static=[
        {"photograph": "chelsea", "times": 0},
        {"photograph": "chelsea", "times": 1},
        {"photograph": "chelsea", "times": 4},
    ],
    photograph=widgets.choice(names, "photograph"),
    times=widgets.slider(TIMES, "times the change", 1),
)

# %% [markdown] id="files-head"
# ## 4. What a file keeps
#
# The paper's examples are floats. A picture that somebody sends is a file of eight bits a channel. Here is a
# function that makes bytes of floats. The pictures that it writes are a little too dark.

# %% [markdown] id="as-bytes-task" task="as-bytes"
# Find the bug, and mend it.


# %% id="as-bytes" exercise="as-bytes"
def as_bytes(images):
    """The nearest bytes of pixels in [0, 1]: (N, 3, H, W), uint8.

    What lies below 0 is black (0), what lies above 1 is white (255).
    """
    ### BEGIN SOLUTION
    return (255 * images).round().clamp(0, 255).to(torch.uint8)
    ### END SOLUTION
    ### BEGIN BUG
    #| return (255 * images).clamp(0, 255).to(torch.uint8)
    ### END BUG


# %% id="as-bytes-check" check="as-bytes"
as_bytes = check("as-bytes", as_bytes)

# %% [markdown] id="files-note"
# Rounding moves a number by up to half a byte, by 1/(255 √12) = 0.0011 in the rms if what is rounded is anything in
# between. But a photograph was bytes before, and an ostrich's change is below half a byte in most numbers. What
# becomes of these?

# %% id="files" tags=["result"]
stored = as_tensor(as_bytes(found.images)).to(torch.float32) / 255
kept = models.predictions(net, stored) == aims
print(f"{int(kept.sum())} of {len(photos)} ostriches survive eight bits")
size = as_tensor(photo_distortion(found.images, stored, 1.0))
print(f"rounding moves them by {float(size.max()):.4f} at most")
back = float(((stored - photos).abs() < 1e-4).double().mean())
print("more than 8 of 10 numbers are the photograph's again:", back > 0.8)
assert back > 0.5

# %% [markdown] id="kept-head"
# They become the photograph's again: rounding takes most of the change back, and hardly adds any of its own.
#
# Can one be made that stays? In each step take the gradients at the picture *as it will be*: as it is, after JPEG,
# after being resized, and go along their mean. (A JPEG file has no gradient. The step pretends that it changes
# nothing: "straight through".) A success is one after all of them; where none is found, the picture stays as it is.
#
# How many times as large must such a change be? Guess for the thirteen photographs of the record, of which the mean
# is taken. The cells below your guess make the first four.

# %% id="kept-guess"
### BEGIN SOLUTION
predict("kept-price", (4, 8))
### END SOLUTION
### BEGIN STUB
#| predict("kept-price", None)  # times: a number, or (low, high)
### END STUB

# %% id="kept"
usual = imagenet.usual_ways(224)
ways = [usual["JPEG 75"], usual["resized to 196"]]
some = slice(0, 4)
firm = imagenet.aimed(net, photos[some], aims[some], 25, ways)
read = imagenet.survives(net, firm.images, aims[some])
frail = imagenet.survives(net, found.images[some], aims[some])
rows = [
    [way, f"{int(frail[way].sum())} of 4", f"{int(read[way].sum())} of 4"]
    for way in read
]
plotting.table(["after", "nearest ostrich", "made to last"], rows)

# %% id="kept-times" tags=["result"]
record = imagenet.read_record()  # what benchmarks/photographs.py measured
pairs = zip(
    record["kept"]["distortion"], record["ostrich"]["distortion"], strict=True
)
times = torch.tensor([lasting / near for lasting, near in pairs if lasting])
print(f"{times.mean():.1f} times as large, mean of {len(times)} photographs")

# %% id="kept-score"
score("kept-price", float(times.mean()))

# %% id="kept-gallery"
#| alt: Three rows of four: photographs; the changes that outlast a JPEG,
#| enlarged less often than before, as coloured grain on grey, where none was
#| found a blank; and the sums as JPEGs, read as an ostrich but for that one.
texts = imagenet.top_classes(net(ways[0](firm.images)), 1)
texts = [f"as JPEG: {row[0][0]}, {row[0][1]:.0%}" for row in texts]
figures.show(figures.gallery(photos[some], firm.images, before[some], texts))

# %% [markdown] id="kept-read"
# With 40 steps, {{=sum(records["photographs"]["kept"]["success"])}} of 13 photographs become ostriches that survive a JPEG file of quality 75 and being resized to 196 pixels
# and back; {{=sum(records["photographs"]["kept"]["survives"]["resized to 112"])}} of them survive being halved, which they were not made for. Their distortion, {{=(lambda d: sum(d) / len(d))([d for d in records["photographs"]["kept"]["distortion"] if d])|.4f}} in the mean, is near the
# paper's {{=paper.OSTRICH_DISTORTION|.4f}}. (The factor above is the mean over photographs of how many times as large each is.) Files are no
# defence, then: they ask for a larger change.

# %% [markdown] id="units-head"
# ## 5. Units on photographs
#
# Figures 3 and 4 show ImageNet images that excite a unit of AlexNet most, and others that excite a random
# direction of the same layer. Thirteen photographs are too few for that; their crops are more.

# %% [markdown] id="photo-crops-task" task="photo-crops"
# Cut photographs into overlapping squares.


# %% id="photo-crops" exercise="photo-crops"
def photo_crops(images, size, stride):
    """All squares of ``size`` pixels, and of which photograph each is.

    images: (N, 3, H, W). A square begins at every multiple of stride,
    down and across, where it still fits. The squares of a photograph
    follow each other, row by row. Returns (M, 3, size, size), (M,).
    """
    ### BEGIN SOLUTION
    windows = images.unfold(2, size, stride).unfold(3, size, stride)
    each = windows.shape[2] * windows.shape[3]
    parts = windows.permute(0, 2, 3, 1, 4, 5)
    parts = parts.reshape(-1, images.shape[1], size, size)
    return parts, torch.arange(len(images)).repeat_interleave(each)
    ### END SOLUTION


# %% id="photo-crops-check" check="photo-crops"
photo_crops = check("photo-crops", photo_crops)

# %% [markdown] id="layer-note"
# Each crop is enlarged to 224 pixels and read. The layer is the last one before the logits: {{=records["photographs"]["units"]["width"]}} units, each
# the mean of a rectified map.

# %% id="layer" tags=["result"]
every = imagenet.photographs(device="cpu")
parts, of = photo_crops(every.images, 112, 28)
parts, of = as_tensor(parts, dtype=torch.float32), as_tensor(of).long()
parts = F.interpolate(parts, (224, 224), mode="bilinear", antialias=True)
parts = parts.clamp(0, 1)
h = models.activations(net, parts, "flatten", 32)
print(f"{len(parts)} crops, {h.shape[1]} units")
print(f"{float((h == 0).double().mean()):.0%} of the activations are 0")

# %% id="figure-3-4"
#| alt: Two blocks of four rows of eight small crops of photographs: the
#| strongest of four units on the left, of four random directions on the right.
#| In both, most rows have something in common: parts of one photograph, a sky
#| with a tower, a texture.
rng = device.generator(3)
width = h.shape[1]
chosen = torch.randperm(width, generator=rng)[:4]
single = units.top_images(h, units.unit_directions(width)[chosen])
mixed = units.top_images(h, units.random_directions(4, width, rng))
titles = [f"units {', '.join(str(int(i)) for i in chosen)}"]
titles.append("random directions")
figures.show(figures.strongest(parts, single, mixed, titles))

# %% [markdown] id="blind-head"
# Lesson 02 asked whether you can tell them apart. Here are ten rows more, of five units and of five random
# directions, in an order that a seed decides. For each decide: unit or direction? Type your guesses, one letter
# for each row.

# %% id="blind-rows"
#| alt: Ten numbered rows of eight small crops of photographs, five on each
#| side. Most rows show parts of one photograph, such as coins, petals, eyes or
#| a red tank; nothing tells which are units' and which are random directions'.
rng = device.generator(29)
is_unit = torch.rand(10, generator=rng).argsort() < 5
blind = units.random_directions(10, width, rng)
known = set(chosen.tolist())  # their crops were shown above
fresh = [
    i for i in torch.randperm(width, generator=rng).tolist() if i not in known
]
blind[is_unit] = units.unit_directions(width)[fresh[:5]]
figures.show(figures.numbered(parts, units.top_images(h, blind)))

# %% id="blind-guesses"
### BEGIN SOLUTION
# the guesses of one of the authors, made from the figure alone
guesses = "duudd uudud"
### END SOLUTION
### BEGIN STUB
#| # u for a unit, d for a direction: ten letters, as in "uddud ..."
#| guesses = ""
### END STUB

# %% id="blind-score"
letters = [c for c in guesses.lower() if c in "ud"]
if len(letters) != 10:
    print(f"{len(letters)} guesses of 10 so far: no score yet.")
else:
    truth = "".join("u" if u else "d" for u in is_unit)
    right = sum(c == t for c, t in zip(letters, truth, strict=True))
    exact = scipy.stats.binomtest(right, 10)
    low, high = exact.proportion_ci(0.95, method="exact")
    print(f"{right} of 10 right; by guessing one would get 5.")
    print(f"95 % interval of your rate: {low:.0%} to {high:.0%}")
    print("The truth:", truth)

# %% [markdown] id="figure-3-4-read"
# A row is a unit or a direction, and its eight strongest crops. Both sides look as if they meant something. But
# neighbouring crops of one photograph overlap by three quarters, and are alike for any direction. So count, and
# compare with chance: the purity of a row is the share of its most frequent label.

# %% id="purity" tags=["result"]
rng = device.generator(5)
basis = units.haar_bases(1, width, rng)[0]
own = net.fc(h).argmax(1).unique(return_inverse=True)[1]
for label, classes in (("photograph", of), ("network's answer", own)):
    of_units = units.top_images(h, units.unit_directions(width))
    of_units = units.purity(classes, of_units).mean()
    of_basis = units.purity(classes, units.top_images(h, basis)).mean()
    chance = units.chance_purity(classes)
    print(f"{label:16} units {of_units:.3f}", end=", ")
    print(f"directions {of_basis:.3f}, chance {chance:.3f}")
    assert chance < of_basis < of_units

# %% [markdown] id="thirteen-head"
# Figures 3 and 4 are to say that directions mean as much as units. What do these numbers show, and what can they not
# show? Two or three sentences; the rubric comes when you have written.

# %% id="thirteen-photographs"
### BEGIN SOLUTION
answer(
    "thirteen-photographs",
    "Both are far above blindly drawn crops. The units of this layer are a "
    "little purer than every random basis that was drawn, by less than the "
    "margin of lesson 02. It is one network, so nothing is said about "
    "networks; and the crops of thirteen photographs overlap, so that the "
    "labels tell which photograph it was, and not what it shows.",
)
### END SOLUTION
### BEGIN STUB
#| answer("thirteen-photographs", """
#| ...
#| """)
### END STUB

# %% [markdown] id="purity-read"
# In the record with {{=records["photographs"]["units"]["bases"]}} random bases: units {{=records["photographs"]["units"]["photograph"]["units"]|.3f}}, directions {{=records["photographs"]["units"]["photograph"]["directions"]|.3f}} (standard deviation over the bases {{=records["photographs"]["units"]["photograph"]["spread"]|.3f}}), chance {{=records["photographs"]["units"]["photograph"]["chance"]|.3f}},
# by photograph; by the network's own answers {{=records["photographs"]["units"]["network's class"]["units"]|.3f}}, {{=records["photographs"]["units"]["network's class"]["directions"]|.3f}} and {{=records["photographs"]["units"]["network's class"]["chance"]|.3f}}. So directions are far from chance, as
# the paper says, and the units a little purer than all bases that were drawn (two-sided p = {{=records["photographs"]["units"]["photograph"]["p"]|.2f}}, the smallest that so
# many bases can give). The difference, {{=records["photographs"]["units"]["photograph"]["units"] - records["photographs"]["units"]["photograph"]["directions"]|.3f}}, is less than the 1/16 that lesson 02 calls one that matters.
# (The margin was set for digits; nobody set one for this layer before looking.) Lite1 and Lite2, the wider and
# deeper relatives: {{=records["photographs"]["others"]["efficientnet-lite1"]["units"]["photograph"]["units"] - records["photographs"]["others"]["efficientnet-lite1"]["units"]["photograph"]["directions"]|.3f}} and {{=records["photographs"]["others"]["efficientnet-lite2"]["units"]["photograph"]["units"] - records["photographs"]["others"]["efficientnet-lite2"]["units"]["photograph"]["directions"]|.3f}}. In the layer behind it, the logits, where a unit is a class, Lite0's units have
# {{=records["photographs"]["units"]["logits"]["photograph"]["units"]|.3f}} and directions {{=records["photographs"]["units"]["logits"]["photograph"]["directions"]|.3f}}: nearer to what the margin allows.

# %% [markdown] id="detector-head"
# ### A unit that detects something
#
# Figure 6 reads one unit of a huge unsupervised network as a detector of cars, and switches it off. First: where
# is the threshold?

# %% [markdown] id="unit-detector-task" task="unit-detector"
# Find it, and say how good it is, for few that are wanted among many.


# %% id="unit-detector" exercise="unit-detector"
def unit_detector(values, wanted):
    """The best threshold for a unit, and its balanced accuracy.

    values: (N,); wanted: (N,) bool, both kinds. Candidates lie halfway
    between neighbouring values that differ. Balanced accuracy: the mean
    of the share of the wanted that lie above, and the share of the
    others that do not. Of equals the lowest. Returns two numbers.
    """
    ### BEGIN SOLUTION
    levels = values.double().unique()
    middle = (levels[1:] + levels[:-1]) / 2
    above = values.double() > middle[:, None]
    hits = above[:, wanted].double().mean(1)
    rests = (~above[:, ~wanted]).double().mean(1)
    accuracy = (hits + rests) / 2
    best = accuracy.argmax()
    return middle[best], accuracy[best]
    ### END SOLUTION


# %% id="unit-detector-check" check="unit-detector"
unit_detector = check("unit-detector", unit_detector)

# %% id="detector" tags=["result"]
wanted = of == every.names.index("chelsea")
directions = units.unit_directions(width)
areas = units.selectivity(h, directions, wanted.long())[:, 1]
unit = int(areas.argmax())
threshold, accuracy = (float(v) for v in unit_detector(h[:, unit], wanted))
print(f"unit {unit} tells the cat's crops from the others:")
print(f"balanced accuracy {accuracy:.0%} on the crops that chose it")
shift = imagenet.crops(every.images, 112, 37, 224)
moved = models.activations(net, shift[0], "flatten", 32)[:, unit]
cat = shift[1] == every.names.index("chelsea")
share = ((moved > threshold)[cat].double().mean()).item()
rest = ((moved <= threshold)[~cat].double().mean()).item()
print(f"on other crops of the same photographs {(share + rest) / 2:.0%}")

# %% [markdown] id="detector-note"
# The best of {{=records["photographs"]["units"]["width"]}} units on {{=records["photographs"]["units"]["crops"]}} crops: with so many to choose from, some unit is good at anything. It is a detector of
# *this* cat's fur, as far as anybody can tell. Now switch it off, with the search of section 2, on a network of two
# classes: the unit is above its threshold, or it is not (`imagenet.Detector`). Beside it the most selective unit of
# AE400-10, lesson 01's autoencoder, which was trained without labels, as the paper's network was. Its digits are
# changed as in lesson 04.

# %% id="switch-off" tags=["result"]
spread = float(h[:, unit].std())
fires = imagenet.Detector(net, "flatten", unit, threshold, spread)
strongest = parts[wanted][h[wanted, unit].argmax()][None]
off = imagenet.aimed(fires, strongest, torch.tensor([0]), 30)
small = zoo.load("AE400-10", device="cpu").requires_grad_(False)
row = record["detectors"]["AE400-10"]
digits = units.held_out("cpu")
code = units.activations(small, digits.images, "sigmoid1")[:, row["unit"]]
one = imagenet.Detector(small, "sigmoid1", row["unit"], row["threshold"])
on = (code > row["threshold"]) & (digits.labels == row["digit"])
few = digits.images[on][:8]
none = attacks.minimal_adversarial(one, few, torch.zeros(8).long())
print(f"the cat's unit is off after {float(off.distortion):.5f}")
print(f"the autoencoder's after {float(none.distortion.mean()):.3f}")
assert off.success.all()
assert none.success.all()

# %% id="switch-off-figure"
#| alt: A crop of the cat's eye and nose, twice, with a unit's activation above
#| each. The second looks the same; the activation is much smaller.
#| alt: Two rows of eight handwritten ones: as they are, and changed until the
#| detector is silent. The changed ones have grey shadows and gaps in their
#| strokes.
values = [
    float(models.activations(net, image, "flatten")[0, unit])
    for image in (strongest, off.images)
]
titles = [f"unit {unit}: {value:.2f}" for value in values]
print(f"threshold {threshold:.2f}")
figures.show(figures.beside(torch.cat([strongest, off.images]), titles))
plotting.show_images(torch.cat([few, none.images]), columns=8)
plt.show()

# %% [markdown] id="switch-off-read"
# Above: the crop, and the crop with the unit off. Below: eight digits that the most selective unit of the autoencoder (number {{=records["photographs"]["detectors"]["AE400-10"]["unit"]}}, for the digit {{=records["photographs"]["detectors"]["AE400-10"]["digit"]}}) takes for its own,
# and the same digits with the unit off. All {{=records["photographs"]["detectors"]["AE400-10"]["n"]}} digits of the record could be
# switched off, at a distortion of {{=records["photographs"]["detectors"]["AE400-10"]["distortion"]|.3f}} in the mean. (Another network, and pictures of
# another size: the two distortions are not to be compared.) Reading a network by one unit makes nothing safer.

# %% [markdown] id="table5-head"
# ## 6. Table 5 for a network of today
#
# Every convolution of this network has a batch norm behind it, which divides by a deviation. A small convolution
# before a small deviation stretches as much as a large one before a large one: only the pair has a norm.

# %% [markdown] id="fold-the-norm-task" task="fold-the-norm"
# Make one convolution of the two.


# %% id="fold-the-norm" exercise="fold-the-norm"
def fold_the_norm(weight, mean, variance, scale, shift, eps):
    """The convolution that does what a convolution and its norm do.

    weight: (D, C, k, k), no bias; then, for each of the D channels,
    (y - mean) / sqrt(variance + eps) * scale + shift, all (D,).
    Returns weight (D, C, k, k), bias (D,).
    """
    ### BEGIN SOLUTION
    factor = scale / (variance + eps).sqrt()
    return weight * factor[:, None, None, None], shift - mean * factor
    ### END SOLUTION


# %% id="fold-the-norm-check" check="fold-the-norm"
fold_the_norm = check("fold-the-norm", fold_the_norm)


# %% id="folded" tags=["result"]
def folded(part):
    norm, conv = part.norm, copy.deepcopy(part.conv)
    numbers = norm.running_mean, norm.running_var, norm.weight, norm.bias
    weight, _bias = fold_the_norm(conv.weight, *numbers, norm.eps)
    weight = as_tensor(weight, dtype=torch.float32).detach()
    conv.weight = torch.nn.Parameter(weight, requires_grad=False)
    return conv


layers = {
    "stem": (net.stem, (3, 224, 224)),
    "block2, project": (net.block2.body.project, (96, 56, 56)),
    "head": (net.head, (320, 7, 7)),
}
for name, (part, shape) in layers.items():
    bare = spectral.operator_norm(part.conv, shape)
    whole = spectral.operator_norm(folded(part), shape)
    print(f"{name:16} {bare:6.2f} alone, {whole:6.2f} with its norm")

# %% [markdown] id="folded-note"
# A block of this network *expands* its channels, *filters* each channel by itself, and *projects* them to fewer. All
# layers are in the record (`spectral.lipschitz` of the folded network, {{=records["photographs"]["table5"]["cpu_seconds"]|.0f}} seconds on one core). Beside them, the
# paper's AlexNet. (Where torchvision's AlexNet, of other widths, lies in its cache, `imagenet.load("alexnet")` takes it,
# and `spectral.lipschitz(net, (3, 224, 224))` bounds its layers.)

# %% id="table5"
weighted = [
    row
    for row in record["table5"]["layers"]
    if row["kind"] in ("Conv2d", "Linear")
]
rows = []
for kind in ("stem", "expand", "filter", "project", "head", "fc"):
    norms = [row["upper"] for row in weighted if kind in row["name"]]
    ends = sorted({f"{min(norms):.3g}", f"{max(norms):.3g}"}, key=float)
    rows.append([kind, len(norms), " to ".join(ends)])
for name, (size, _stride, bound) in paper.TABLE5.items():
    rows.append([f"AlexNet {name}, {size}", 1, f"{bound:g}"])
plotting.table(["layers", "how many", "norm"], rows)

# %% [markdown] id="table5-read"
# The product of all, the scale of the input and the mean over the last maps included, is about 10^{{=records["photographs"]["table5"]["log10_product"]|.1f}} (the paper's, for AlexNet, {{=paper.TABLE5["Conv. 1"][2] * paper.TABLE5["Conv. 2"][2] * paper.TABLE5["Conv. 3"][2] * paper.TABLE5["Conv. 4"][2] * paper.TABLE5["Conv. 5"][2] * paper.TABLE5["FC. 1"][2] * paper.TABLE5["FC. 2"][2] * paper.TABLE5["FC. 3"][2]|.0f}}); the largest slope that a search along Jacobians found (lesson 07) is 10^{{=records["photographs"]["table5"]["log10_lower"]|.2f}}. Between the two lie {{=records["photographs"]["table5"]["log10_product"] - records["photographs"]["table5"]["log10_lower"]|.0f}}
# powers of ten, and a bound so loose excludes nothing. The layers that stretch are the stem, those that filter, and those
# that project. Depth alone does not explain it: the layers that expand stretch by {{=min(r["upper"] for r in records["photographs"]["table5"]["layers"] if "expand" in r["name"] and r["kind"] == "Conv2d")|.1f}} to {{=max(r["upper"] for r in records["photographs"]["table5"]["layers"] if "expand" in r["name"] and r["kind"] == "Conv2d")|.1f}}.

# %% [markdown] id="transfer-head"
# ## 7. Does it fool its relatives?
#
# EfficientNet-Lite1 and Lite2 are wider or deeper networks of the same family, trained on the same images. They are
# packages of their own, and the set-up does not install them: the record was made where they were. Of 13 photographs,
# how many answers change when a change is made for Lite0 and multiplied by 1, 2, 4, 8?

# %% id="transfer"
found_there = record["transfer"]
head = ["made for, read by"]
head += [f"x {times}" for times in found_there["amplified"]]
rows = []
for name, row in found_there["rows"].items():
    short = name.replace("efficientnet-", "")
    for kind in ("changed", "ostrich", "noise"):
        words = {"changed": "other answer", "ostrich": "ostrich"}
        rows.append([f"{short}: {words.get(kind, 'noise')}", *row[kind]])
plotting.table(head, [row for row in rows if "lite0 read" in row[0]])

# %% [markdown] id="transfer-read"
# At its own length Lite0's ostrich changes {{=records["photographs"]["transfer"]["rows"]["efficientnet-lite0 read by efficientnet-lite1"]["changed"][0]}} of {{=records["photographs"]["transfer"]["n"]}} answers of Lite1 and {{=records["photographs"]["transfer"]["rows"]["efficientnet-lite0 read by efficientnet-lite2"]["changed"][0]}} of Lite2's, noise of that length {{=records["photographs"]["transfer"]["rows"]["efficientnet-lite0 read by efficientnet-lite1"]["noise"][0]}} and {{=records["photographs"]["transfer"]["rows"]["efficientnet-lite0 read by efficientnet-lite2"]["noise"][0]}}; eight times as long
# it changes {{=records["photographs"]["transfer"]["rows"]["efficientnet-lite0 read by efficientnet-lite1"]["changed"][3]}} and {{=records["photographs"]["transfer"]["rows"]["efficientnet-lite0 read by efficientnet-lite2"]["changed"][3]}}, noise {{=records["photographs"]["transfer"]["rows"]["efficientnet-lite0 read by efficientnet-lite1"]["noise"][3]}} and {{=records["photographs"]["transfer"]["rows"]["efficientnet-lite0 read by efficientnet-lite2"]["noise"][3]}}. The nearest examples hardly transfer, as with digits (lesson 05); amplified ones do more.
# Of the relatives' answers to all of these, {{=sum(sum(records["photographs"]["transfer"]["rows"]["efficientnet-lite0 read by efficientnet-" + name]["ostrich"]) for name in ("lite1", "lite2"))}} are "ostrich": what carries over is the mistake, not the class.

# %% [markdown] id="own-head"
# ## 8. Your own pictures
#
# Put some pictures into a folder, write its name here, and choose a class (`imagenet.class_names()` lists them; a name
# that does not exist is answered by near ones). The first eight are taken; of each the middle, scaled to 224 pixels, and
# what is much smaller becomes a blur. Nothing leaves this machine.

# %% id="own"
folder = ""  # the folder's name, as "my_pictures"
aim = "ostrich"
if folder:
    mine = imagenet.open_folder(folder, device="cpu")
    goal = torch.full((len(mine),), imagenet.class_index(aim))
    hit = imagenet.aimed(net, mine.images[:8], goal[:8], 40)
    said = imagenet.top_classes(net(mine.images[:8]), 1)
    now = imagenet.top_classes(net(hit.images), 1)
    texts = [[row[0][0] for row in rows] for rows in (said, now)]
    figures.show(figures.gallery(mine.images[:8], hit.images, *texts))
else:
    print("No folder is named yet.")

# %% [markdown] id="own-crops-head"
# And Figures 3 and 4 for them: the crops of your pictures that excite the four units of section 5 most, and four
# random directions. Labels are your sub-folders' names if there are any, else which picture a crop is of.

# %% id="own-crops"
if folder:
    some = mine.images[:40]
    mine_parts, whose = imagenet.crops(some, 112, 56, 224)
    mine_h = models.activations(net, mine_parts, "flatten", 32)
    tops = [
        units.top_images(mine_h, v)
        for v in (
            units.unit_directions(width)[chosen],
            units.random_directions(4, width, device.generator(3)),
        )
    ]
    texts = ["the four units", "random directions"]
    figures.show(figures.strongest(mine_parts, *tops, texts))
    labels = whose if mine.labels is None else mine.labels[whose]
    for name, top in zip(("units", "directions"), tops, strict=True):
        print(f"{name}: purity {units.purity(labels, top).mean():.2f}")
    print(f"blindly drawn: {units.chance_purity(labels):.2f}")

# %% [markdown] id="known"
# ## 9. What we know now (November 2026)
#
# - **ImageNet networks have such neighbours to this day**, if they are not trained against them; adversarially
#   trained ones need changes many times as large, and pay with accuracy (Madry and others, 2018).
# - **In the world**: printed pictures, photographed again, still fool (Kurakin and others, 2017), most surely if the
#   change was made through many views at once (Athalye and others, 2018). The mean over files above is that idea.
# - **Files as a defence** were proposed and broken: a gradient *straight through* is enough (Athalye, Carlini,
#   Wagner, 2018).
# - **Units**: whether a basis of neurons is special depends on the non-linearity and on the measure; today's
#   search for meaning looks for directions on purpose, by sparse dictionaries (Bricken and others, 2023).
#
# <details><summary>References</summary>
#
# - Athalye, Carlini, Wagner: Obfuscated gradients give a false sense of security. ICML 2018, arXiv 1802.00420
# - Athalye, Engstrom, Ilyas, Kwok: Synthesizing robust adversarial examples. ICML 2018, arXiv 1707.07397
# - Bricken and others: Towards monosemanticity: decomposing language models with dictionary learning. 2023
# - Kurakin, Goodfellow, Bengio: Adversarial examples in the physical world. 2017, arXiv 1607.02533
# - Madry, Makelov, Schmidt, Tsipras, Vladu: Towards deep learning models resistant to adversarial attacks.
#   ICLR 2018, arXiv 1706.06083
# - Rony and others: Decoupling direction and norm for efficient gradient-based L2 adversarial attacks and
#   defenses. CVPR 2019, arXiv 1811.09600
# - Tan, Le: EfficientNet: rethinking model scaling for convolutional neural networks. ICML 2019, arXiv 1905.11946
#
# </details>

# %% [markdown] id="take-away"
# ## What to take away
#
# - A distortion has a scale. Here white is 1, and most numbers of an ostrich's change are below half a byte: a file
#   takes them back.
# - Noise of the same length does nothing: the direction does it.
# - Files destroy the nearest ostriches, and stop nobody who aims through them.
# - Purity far above chance is found for units and for random directions. One network, thirteen photographs: no
#   verdict.
# - A norm of a convolution without its batch norm means nothing.
# - Figure 5 is here for another network than AlexNet: of thirteen photographs {{=sum(records["photographs"]["ostrich"]["success"])}} became ostriches.
#
# **Next:** your own pictures, or `course reproduce`, which sets every claim of the paper beside what is measured here.

# %% id="progress"
progress(9)
