"""MNIST is the published MNIST, its parts are what they are called, damage is named."""

import gzip
import hashlib
import shutil
import struct

import numpy as np
import pytest
import torch

from course_lib import data


def test_images_and_labels_have_the_promised_form():
    test = data.load_mnist("test")
    assert test.images.shape == (10_000, 1, 28, 28)
    assert test.images.dtype == torch.float32
    assert test.labels.shape == (10_000,)
    assert test.labels.dtype == torch.int64
    assert test.images.min() == 0
    assert test.images.max() == 1


# MD5 sums of the unpacked files, as published with many copies of the data set
PUBLISHED = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_files_are_the_published_ones(name):
    raw = gzip.decompress((data.FOLDER / f"{name}.gz").read_bytes())
    assert hashlib.md5(raw).hexdigest() == PUBLISHED[name]
    assert hashlib.sha256(raw).hexdigest() == data._checksums()[name]


def test_torchvision_reads_the_same_pixels(tmp_path):
    torchvision = pytest.importorskip("torchvision")
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for pair in data.FILES.values():
        for name in pair:
            (raw / name).write_bytes(gzip.decompress((data.FOLDER / f"{name}.gz").read_bytes()))
    for part in ("train", "test"):
        theirs = torchvision.datasets.MNIST(tmp_path, train=part == "train")
        ours = data.load_mnist(part)
        assert torch.equal((ours.images[:, 0] * 255).round().byte(), theirs.data)
        assert torch.equal(ours.labels, theirs.targets)


def test_the_halves_are_disjoint_stratified_and_whole():
    p1, p2 = data.load_mnist("P1"), data.load_mnist("P2")
    assert len(p1) == len(p2) == 30_000
    assert sorted([*p1.index.tolist(), *p2.index.tolist()]) == list(range(60_000))
    counts = [torch.bincount(p.labels, minlength=10) for p in (p1, p2)]
    assert (counts[0] - counts[1]).abs().max() <= 1


@pytest.mark.parametrize("prefix", ["", "P1/", "P2/"])
def test_validation_and_fit_share_a_part_out(prefix):
    whole = data.load_mnist(prefix.rstrip("/") or "train")
    fit, validation = data.load_mnist(f"{prefix}fit"), data.load_mnist(f"{prefix}validation")
    assert len(validation) == len(whole) // 6
    assert sorted([*fit.index.tolist(), *validation.index.tolist()]) == sorted(whole.index.tolist())
    share = torch.bincount(validation.labels) / torch.bincount(whole.labels)
    assert (share - 1 / 6).abs().max() < 0.002


def test_the_stored_split_is_what_its_seed_makes():
    remade = data.make_splits(data.load_mnist().labels.numpy())
    for key, stored in data.splits().items():
        np.testing.assert_array_equal(remade[key], stored)


def test_the_index_leads_back_to_the_file():
    train, half = data.load_mnist("train"), data.load_mnist("P2")
    rows = half.index[[0, 17, 29_999]]
    assert torch.equal(train.images[rows], half.images[[0, 17, 29_999]])


def test_a_sample_is_drawn_and_the_same_again():
    test = data.load_mnist("test")
    one, same, other = test.sample(500, seed=1), test.sample(500, seed=1), test.sample(500, seed=2)
    assert torch.equal(one.index, same.index)
    assert not torch.equal(one.index, other.index)
    assert len(set(one.index.tolist())) == 500
    assert one.index.float().mean() > 4000, "the first images of the file are not a sample"
    assert torch.equal(test.images[one.index], one.images)


@pytest.mark.parametrize("row", [3, np.int64(3), torch.tensor(3), -1])
def test_a_single_image_keeps_its_batch_axis(row):
    one = load_one(row)
    assert one.images.shape == (1, 1, 28, 28)
    assert one.labels.shape == one.index.shape == (1,)


def load_one(row):
    return data.load_mnist("test")[row]


@pytest.mark.parametrize("n", [0, -1, 10_001])
def test_a_sample_of_a_wrong_size_is_refused(n):
    with pytest.raises(ValueError, match="cannot be drawn"):
        data.load_mnist("test").sample(n)


def test_an_unknown_part_lists_the_parts():
    with pytest.raises(ValueError, match="P1/validation"):
        data.load_mnist("training")


def test_loading_again_is_not_disturbed_by_changes():
    first = data.load_mnist("test")
    first.images.zero_()
    assert data.load_mnist("test").images.max() == 1


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of the package's data that may be damaged."""
    folder = tmp_path / "mnist"
    shutil.copytree(data.FOLDER, folder)
    monkeypatch.setattr(data, "FOLDER", folder)
    data._read.cache_clear()
    data.splits.cache_clear()
    yield folder
    data._read.cache_clear()
    data.splits.cache_clear()


def test_one_flipped_bit_is_noticed_and_named(copied):
    path = copied / "t10k-labels-idx1-ubyte.gz"
    raw = bytearray(path.read_bytes())
    raw[1000] ^= 1
    path.write_bytes(raw)
    with pytest.raises(RuntimeError, match=r"t10k-labels-idx1-ubyte.gz is damaged .*git checkout"):
        data.load_mnist("test", folder=copied)


def test_a_missing_file_is_named(copied):
    (copied / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"no file train-images-idx3-ubyte.gz in"):
        data.load_mnist("train", folder=copied)


def test_a_damaged_split_is_named(copied):
    (copied / "splits.npz").write_bytes(b"not a zip file")
    with pytest.raises(RuntimeError, match=r"splits.npz is missing or damaged"):
        data.splits(copied)


def write_idx(path, array):
    header = b"\x00\x00\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


def other_data(folder, n=60, side=28, classes=10):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for images, labels in data.FILES.values():
        write_idx(folder / f"{images}.gz", rng.integers(0, 256, (n, side, side), dtype=np.uint8))
        write_idx(folder / f"{labels}.gz", (np.arange(n) % classes).astype(np.uint8))
    return folder


def test_another_data_set_of_the_same_form_can_take_its_place(tmp_path):
    folder = other_data(tmp_path / "FashionMNIST" / "raw")
    fashion = data.load_mnist("P1", folder=folder)
    assert len(fashion) == 30
    assert fashion.name == "FashionMNIST P1"
    assert torch.bincount(fashion.labels).tolist() == [3] * 10


def test_other_sizes_and_classes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="28 x 28"):
        data.load_mnist("test", folder=other_data(tmp_path / "large" / "raw", side=32))
    with pytest.raises(ValueError, match="labels above 9"):
        data.load_mnist("test", folder=other_data(tmp_path / "many" / "raw", classes=47))


def test_a_truncated_file_is_refused(tmp_path):
    folder = other_data(tmp_path / "cut" / "raw")
    path = folder / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-5]))
    with pytest.raises(RuntimeError, match="cut short"):
        data.load_mnist("test", folder=folder)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RuntimeError, match="damaged"):
        data.load_mnist("test", folder=folder)


@pytest.mark.parametrize(
    ("images", "error", "sentence"),
    [
        (np.zeros((1, 1, 28, 28)), TypeError, "torch.as_tensor"),
        (torch.zeros(1, 1, 28, 28, dtype=torch.uint8), TypeError, "/ 255"),
        (torch.zeros(1, 28, 28), ValueError, "batch axis"),
        (torch.zeros(2, 784), ValueError, r"\(N, 1, 28, 28\)"),
        (torch.full((1, 1, 28, 28), 1.01), ValueError, r"in \[0, 1\]"),
        (torch.full((1, 1, 28, 28), -0.01), ValueError, r"in \[0, 1\]"),
        (torch.full((1, 1, 28, 28), float("nan")), ValueError, "NaN"),
    ],
)
def test_bad_images_get_a_sentence(images, error, sentence):
    with pytest.raises(error, match=sentence):
        data.check_images(images)


def test_images_with_noise_are_images():
    data.check_images(torch.full((2, 3, 5, 5), -7.0), shape=None, box=False)
    with pytest.raises(ValueError, match="channels, height, width"):
        data.check_images(torch.zeros(28, 28), shape=None, box=False)


def test_a_damaged_list_of_checksums_is_named(copied):
    (copied / "SHA256SUMS").write_text("what")
    with pytest.raises(RuntimeError, match="SHA256SUMS is missing or damaged"):
        data.load_mnist("test", folder=copied)


def test_good_images_pass():
    data.check_images(data.load_mnist("test").images)
    data.check_images(torch.zeros(0, 1, 28, 28))


def test_fingerprints_tell_parts_apart():
    prints = [data.fingerprint(part) for part in data.PARTS]
    assert len(set(prints)) == len(prints)
