import contextlib
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from vgg16_files import pickled, write_old_torch, write_torch

from kseg.errors import WeightsError
from kseg.weights.torch.torch_file import open_torch

REAL = Path(__file__).parents[2] / "data" / "weights"  # written by PyTorch 2.13
STATE = {"a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4), "a.bias": np.ones(2, np.float32)}


def read(path):
    with open_torch(path) as tensors:
        return {name: tensor.whole() for name, tensor in tensors.items()}


@pytest.mark.parametrize("file", ["checkpoint.pth", "stream.pth"])
def test_files_that_pytorch_wrote_are_read_number_by_number(file):
    expected = {
        "conv1_1.weight": (2, 3, 3, 3), "conv1_1.bias": (2,), "half.weight": (2, 3), "bfloat16.weight": (2, 3),
        "double.weight": (2, 3), "part.weight": (2, 3), "upscore.weight": (2, 2, 4, 4),
    }  # fmt: skip
    found = read(REAL / file)
    assert found.pop("steps") == [7] and found.keys() == expected.keys()
    for name, shape in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], np.arange(np.prod(shape)).reshape(shape))


@pytest.mark.parametrize("write", [write_torch, write_old_torch])
def test_rows_are_read_when_they_are_wanted(tmp_path, write):
    with open_torch(write(tmp_path / "a.pth", STATE)) as tensors:
        assert tensors["a.weight"].shape == (2, 3, 4) and tensors["a.weight"].layout == "caffe"
        np.testing.assert_array_equal(tensors["a.weight"].read(1, 2), STATE["a.weight"][1:])


class Attack:
    def __reduce__(self):
        return os.mkdir, ("broken-into",)


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_code_in_a_pickle_is_named_and_not_run(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    path = write_torch(tmp_path / "a.pth", STATE, pickle.dumps({"a": Attack()}, protocol))
    with pytest.raises(WeightsError, match=r"a\.pth: .*(posix\.mkdir|instruction)"):
        read(path)
    assert not (tmp_path / "broken-into").exists()


@pytest.mark.parametrize(
    ("before", "says"),
    [
        (b"ctorch.nn.modules.container\nSequential\n0", r"asks for torch\.nn\.modules\.container\.Sequential"),
        (b"c__builtin__\neval\n0", r"asks for __builtin__\.eval"),
        (b"ctorch\nload\n0", r"asks for torch\.load"),
        (b"}(\x5d\x4e\x75\x30", "SETITEMS at byte 6 of the pickle: keys that are neither names nor numbers"),
        (b"R", "REDUCE at byte 2 of the pickle: "),
        (b"h\x07", "BINGET at byte 2 of the pickle: "),
        (b"X\xff\xff\xff\xff", "broken PyTorch file"),
        (b"\x8b\xff\xff\xff\x7f", "broken PyTorch file"),
        (b"\xff", "broken PyTorch file"),
    ],
)
def test_a_pickle_of_anything_else_is_refused_with_the_reason(tmp_path, before, says):
    with pytest.raises(WeightsError, match=says):
        read(write_torch(tmp_path / "a.pth", STATE, pickled(STATE, before=before)))


def test_tensors_that_do_not_fit_the_file_are_refused(tmp_path):
    whole = pickled(STATE)
    for old, new in ((_number(24), _number(25)), (_number(0) + b"(", _number(9) + b"("), (_number(4), _number(400))):
        assert old in whole
        with pytest.raises(WeightsError, match=r"a\.pth: .*(numbers|beyond|transposed)"):
            read(write_torch(tmp_path / "a.pth", STATE, whole.replace(old, new, 1)))
    with pytest.raises(WeightsError, match=r"a.weight: stored transposed.*\.contiguous"):
        read(
            write_torch(tmp_path / "a.pth", STATE, whole.replace(_number(12) + _number(4), _number(1) + _number(2), 1))
        )


def test_a_file_cut_off_anywhere_is_an_error_of_ours(tmp_path):
    for write in (write_torch, write_old_torch):
        data = write(tmp_path / "a.pth", STATE).read_bytes()
        for length in range(0, len(data) - 1, 7):
            (tmp_path / "b.pth").write_bytes(data[:length])
            with pytest.raises(WeightsError, match="b.pth"):
                read(tmp_path / "b.pth")


def test_mutated_files_end_in_numbers_or_an_error_of_ours(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "b.pth"
    for write in (write_torch, write_old_torch):
        data = write(tmp_path / "a.pth", STATE).read_bytes()
        for _ in range(150):
            changed = bytearray(data)
            for place in rng.integers(0, len(data), rng.integers(1, 4)):
                changed[place] = rng.integers(0, 256)
            path.write_bytes(changed)
            with contextlib.suppress(WeightsError):
                assert all(array.size <= 26 for array in read(path).values())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"hello", "no PyTorch file"),
        (b"", "no PyTorch file"),
        (pickle.dumps({"a": 1}, 2), "no PyTorch file"),
    ],
)
def test_another_file_is_said_to_be_one(tmp_path, content, says):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=says):
        read(tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="no such file"):
        read(tmp_path / "b.pth")


def test_archives_that_pytorch_does_not_write_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickled(STATE) * 9)
    with pytest.raises(WeightsError, match=r"data\.pkl is compressed"):
        read(tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(WeightsError, match=r"without data\.pkl"):
        read(tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="big-endian"):
        read(write_torch(tmp_path / "a.pth", STATE, byteorder=b"big"))
    with pytest.raises(WeightsError, match="too many for a description of tensors"):
        read(write_torch(tmp_path / "a.pth", STATE, bytes(5 << 20)))
    with pytest.raises(WeightsError, match=r"no tensors by name.*state_dict"):
        read(write_torch(tmp_path / "a.pth", {}))


def _number(number):
    return b"J" + struct.pack("<i", number)
