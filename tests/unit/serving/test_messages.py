"""The messages beside TensorFlow's own."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from kseg.errors import DataError
from kseg.serving.messages import KINDS, array_of, new, parsed, tensor


@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
def test_an_array_is_the_tensor_that_tensorflow_makes_of_it(kind):
    array = (np.arange(6).reshape(2, 3) % 2 if kind.kind == "b" else np.arange(6).reshape(2, 3)).astype(kind)
    made = tf.make_tensor_proto(array)
    mine = tensor(array).SerializeToString()
    np.testing.assert_array_equal(tf.make_ndarray(type(made).FromString(mine)), array)
    found = array_of(parsed("Tensor", made.SerializeToString()))
    assert found.dtype == kind
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
def test_values_that_are_listed_one_by_one_are_read_too(kind):
    values = [1, 0, 1]
    made = tf.make_tensor_proto(np.array(values).astype(kind).tolist(), dtype=tf.as_dtype(kind))
    np.testing.assert_array_equal(array_of(parsed("Tensor", made.SerializeToString())), np.array(values, kind))
    same = tf.make_tensor_proto(np.ones((), kind).tolist(), dtype=tf.as_dtype(kind), shape=(2, 2))
    np.testing.assert_array_equal(array_of(parsed("Tensor", same.SerializeToString())), np.ones((2, 2), kind))


def test_texts():
    data = np.array([b"a", b"\x00\xff"], object)
    made = tf.make_tensor_proto(data)
    assert array_of(parsed("Tensor", made.SerializeToString())).tolist() == data.tolist()
    np.testing.assert_array_equal(tf.make_ndarray(type(made).FromString(tensor(data).SerializeToString())), data)


@given(st.binary(max_size=60))
def test_random_bytes_are_a_message_or_a_clear_error(data):
    for name in ("Tensor", "PredictResponse", "MetaGraph"):
        try:
            found = parsed(name, data)
            if name == "Tensor":
                array_of(found)
        except DataError:
            pass


def test_a_tensor_that_does_not_fit_its_shape():
    for shape, size in (([2**40], 4), ([-1], 4), ([3], 8), ([2], 7)):
        made = new("Tensor", dtype=1, tensor_content=bytes(size))
        made.tensor_shape.dim.extend(new("Dim", size=length) for length in shape)
        with pytest.raises(DataError):
            array_of(made)
