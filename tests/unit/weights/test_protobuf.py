"""The wire format: what is written comes back, and what is not right is named by its byte."""

import io
from pathlib import Path

import pytest
from caffe_writer import chunk, number, varint
from hypothesis import given
from hypothesis import strategies as st

from kseg.errors import WeightsError
from kseg.weights.caffe.protobuf import EIGHT_BYTES, FOUR_BYTES, VARINT, Field, WireFile

NUMBERS, FIELDS = st.integers(0, 2**64 - 1), st.integers(1, 2**29 - 1)


def wire_file(data: bytes) -> WireFile:
    return WireFile(Path("net.caffemodel"), io.BytesIO(data), len(data))


def fields(data: bytes) -> list[Field]:
    return list(wire_file(data).fields(0, len(data)))


@given(st.lists(st.tuples(FIELDS, st.one_of(NUMBERS, st.binary(max_size=300)))))
def test_fields_come_back_as_written(written):
    data = b"".join(number(field, value) if isinstance(value, int) else chunk(field, value) for field, value in written)
    file = wire_file(data)
    found = []
    for field in file.fields(0, len(data)):
        value = field.value if field.wire == VARINT else file.read(field.value, field.stop)
        found.append((field.number, value))
    assert found == written


@given(st.integers(1, 15), st.sampled_from([4, 8]), st.integers(1, 5000))
def test_equal_fields_of_fixed_size_come_as_one_run(field, size, times):
    key = varint(field << 3 | (FOUR_BYTES if size == 4 else EIGHT_BYTES))
    data = number(1, 7) + (key + b"\1" * size) * times + number(2, 8)
    assert [found[:2] for found in fields(data)] == [(1, VARINT), (field, key[0] & 7), (2, VARINT)]
    assert fields(data)[1] == Field(field, key[0] & 7, 3, 2 + times * (size + 1), times)


def test_a_run_ends_at_the_end_of_its_message():
    inner = b"\x2d\0\0\0\0" * 3
    data = chunk(1, inner) + b"\x2d\0\0\0\0"
    outer = fields(data)
    file = wire_file(data)
    assert next(file.fields(outer[0].value, outer[0].stop)).times == 3


def test_groups_are_passed_over():
    begin, end = varint(9 << 3 | 3), varint(9 << 3 | 4)
    data = begin + number(1, 5) + chunk(2, b"text") + begin + end + b"\x2d\0\0\0\0" + end + number(3, 6)
    assert [found.number for found in fields(data)] == [3]


@pytest.mark.parametrize(
    ("data", "byte", "found"),
    [
        (b"\x0a", 1, "reaches beyond"),  # a key, and nothing behind it
        (b"\x0a\x05abcd", 1, "5 bytes in a message that ends at byte 6"),
        (b"\x0a" + varint(2**63), 1, "9,223,372,036,854,775,808 bytes"),
        (b"\x08" + b"\xff" * 10 + b"\x01", 1, "more than ten bytes"),
        (b"\x2d\0\0\0", 1, "4 bytes in a message that ends at byte 4"),
        (b"\x08\x01\x00\x01", 2, "field number 0"),
        (b"\x0e", 0, "wire type 6"),
        (b"\x0c", 0, "wire type 4"),  # the end of a group that was not begun
        (b"\x0b\x14", 1, "wire type 4"),  # the end of another group
        (b"\x0b", 1, "group 1 is open"),
        (b"\x0b" * 200, 100, "wire type 3"),
    ],
)
def test_what_is_no_message_is_named_with_its_byte(data, byte, found):
    with pytest.raises(WeightsError, match=f"^net.caffemodel: byte {byte} of {len(data)}: .*{found}"):
        fields(data)


def test_a_file_of_endless_fields_is_refused():
    with pytest.raises(WeightsError, match="more than 200,000 fields"):
        fields(b"\x08\x00" * 200_001)
