import os
import subprocess
import sys

import pytest
import tensorflow as tf

from kseg import device
from kseg.inference import settled_precision


def test_memory_is_kept_in_glibc_and_other_libraries_are_left_alone(monkeypatch):
    asked = {}

    class Library:
        @staticmethod
        def mallopt(option, value):
            asked[option] = value

    device.keep_freed_memory.cache_clear()
    monkeypatch.setattr(device.ctypes, "CDLL", lambda name: Library)
    device.keep_freed_memory()
    device.keep_freed_memory()
    assert asked == {-3: 16 << 20, -1: 256 << 20}  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD

    device.keep_freed_memory.cache_clear()
    monkeypatch.setattr(device.ctypes, "CDLL", lambda name: object())  # musl has no mallopt
    device.keep_freed_memory()


@pytest.mark.parametrize(
    ("limit", "found"), [("1000\n", 1000), ("max\n", 8 * 4096), ("99999999\n", 8 * 4096), (None, 8 * 4096)]
)
def test_memory_is_the_machines_or_its_containers_where_that_is_less(monkeypatch, tmp_path, limit, found):
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 8}.__getitem__)
    if limit:
        (tmp_path / "memory.max").write_text(limit)
    monkeypatch.setattr(device, "_CONTAINER", tmp_path / "memory.max")
    assert device.memory_bytes() == found


AVX2 = "flags\t\t: fpu sse4_2 fma avx avx2"


@pytest.mark.parametrize(
    ("flags", "auto", "is_compiled"),
    [
        (AVX2, "float32", True),
        (f"{AVX2} avx512f avx512bw avx512_bf16", "float32", False),  # it has bfloat16, but no product of matrices
        (f"{AVX2} avx512f avx512_bf16 amx_bf16 amx_tile amx_int8", "mixed_bfloat16", False),
        (None, "float32", True),
    ],
    ids=["AVX2", "AVX-512", "AMX", "no /proc/cpuinfo"],
)
def test_auto_is_what_the_processor_s_flags_say(flags, auto, is_compiled, tmp_path, monkeypatch):
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{flags}\nbogomips\t: 1\n")
    monkeypatch.setattr(device, "Path", {"/proc/cpuinfo": tmp_path / "cpuinfo"}.get)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    assert settled_precision("auto") == auto
    assert device.multiplies_bfloat16() == (auto == "mixed_bfloat16") and device.trains_faster_compiled() == is_compiled
    assert settled_precision("float32") == "float32"


AVX512 = f"{AVX2} avx512f avx512bw"
AMX = f"{AVX512} avx512_bf16 amx_bf16 amx_tile amx_int8"


@pytest.mark.parametrize(
    ("flags", "kind", "wanted", "default"),
    [
        (AVX2, "AVX2", False, False),
        (f"{AVX2} avx_vnni", "AVX2", False, True),
        (AVX512, "AVX-512", True, False),
        (f"{AVX512} avx512_vnni", "AVX-512", True, True),
        (AMX, "AMX", True, True),
        ("Features\t: fp asimd", "another processor", None, False),
        ("", "another processor", None, False),
    ],
)
def test_onednn_is_what_the_user_says_else_what_tensorflow_decides(monkeypatch, flags, kind, wanted, default):
    monkeypatch.setattr(device, "_flags", lambda: flags)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    assert (device.settings().kind, device.settings().onednn) == (kind, wanted)
    assert device.has_onednn() == device.holds_weights() == default
    assert bool(device.onednn_advice()) == (wanted not in (None, default))
    for value, says in (("1", True), ("true", True), ("0", False), ("False", False), ("yes", default), ("", default)):
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", value)
        assert device.has_onednn() == device.holds_weights() == says
        assert bool(device.onednn_advice()) == (wanted not in (None, says))


def test_the_advice_names_the_variable_and_its_value(monkeypatch):
    monkeypatch.setattr(device, "_flags", lambda: f"{AVX2} avx_vnni")
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    found = device.onednn_advice()
    assert found.startswith("TensorFlow is faster without oneDNN on this processor (AVX2): export ")
    assert " TF_ENABLE_ONEDNN_OPTS=0 before Python starts." in found
    monkeypatch.setattr(device, "_flags", lambda: AVX512)
    assert "with oneDNN on this processor (AVX-512): export TF_ENABLE_ONEDNN_OPTS=1 " in device.onednn_advice()


@pytest.mark.parametrize(
    ("own", "wanted", "after"), [(None, True, "1"), (None, False, "0"), (None, None, None), ("1", False, "1")]
)
def test_a_user_s_own_setting_of_onednn_stays(monkeypatch, own, wanted, after):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", own or "")
    if own is None:
        monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    device.choose_onednn(wanted)
    assert os.environ.get("TF_ENABLE_ONEDNN_OPTS") == after


@pytest.mark.parametrize(("own", "is_on"), [(None, False), ("1", True)])
def test_a_verb_starts_tensorflow_with_the_settings_of_the_processor(own, is_on):
    code = f"from kseg import cli, device; device._flags = lambda: {AVX2!r}; cli.main(['models', 'list'])"
    surroundings = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    surroundings |= {"TF_CPP_MIN_LOG_LEVEL": "0"} | ({"TF_ENABLE_ONEDNN_OPTS": own} if own else {})
    done = subprocess.run([sys.executable, "-c", code], env=surroundings, capture_output=True, text=True, check=True)
    assert ("oneDNN custom operations are on" in done.stderr) == is_on  # TensorFlow's own note


def test_only_the_command_line_asks_the_allocator_and_python_changes_nothing_of_tensorflow_or_keras():
    code = (
        "import sys, tempfile, keras, tensorflow as tf\n"
        "def state():\n"
        "    return (tf.config.optimizer.get_jit(), tf.config.optimizer.get_experimental_options(),\n"
        "            tf.get_logger().level, tf.executing_eagerly(),\n"
        "            keras.config.dtype_policy().name, keras.config.floatx(), keras.config.image_data_format())\n"
        "before = state()\n"
        "import kseg\n"
        "from kseg.device import keep_freed_memory\n"
        "network = kseg.build('unet', width=1, depth=1, padding='same')\n"
        "images, labels = next(iter(kseg.batches(kseg.datasets.open('demo', split='val')[:1])))\n"
        "kseg.predict(network, images.numpy()[0])\n"
        "assert state() == before and keep_freed_memory.cache_info().currsize == 0\n"
        "from kseg.cli import main\n"
        "sys.argv = ['kseg']\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    words = ['data', 'pack', '--dataset', 'demo', '--split', 'val', '-o', folder + '/shards']\n"
        "    main(words, standalone_mode=False)\n"
        "assert keep_freed_memory.cache_info().currsize == 1\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("level, says", [(None, False), ("3", False), ("0", True)])
def test_the_first_network_in_python_says_nothing_unless_notes_were_asked_for(monkeypatch, level, says):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    if level is not None:
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    code = (
        "import os, kseg; before = os.environ.get('TF_CPP_MIN_LOG_LEVEL'); kseg.build('unet', width=1, depth=1)\n"
        "import tensorflow as tf; tf.config.list_logical_devices()\n"
        "assert os.environ.get('TF_CPP_MIN_LOG_LEVEL') == before"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert bool(done.stderr) == says, done.stderr


def test_what_was_held_back_comes_where_something_fails(capfd, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    with device.without_notes():
        os.write(2, b"a note\n")
    with pytest.raises(ImportError), device.without_notes():
        os.write(2, b"the cause\n")
        raise ImportError
    assert capfd.readouterr().err == "the cause\n"
