"""What this processor computes fast, how much memory there is, and settings of the process, without TensorFlow."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"  # TensorFlow's own name for it
# Bytes: glibc's environment variables that do the same as `keep_freed_memory`
ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": 1 << 28, "MALLOC_MMAP_THRESHOLD_": 1 << 24}
_CONTAINER = Path("/sys/fs/cgroup/memory.max")  # the limit of this process's container, bytes
_MALLOPT = {"MALLOC_TRIM_THRESHOLD_": -1, "MALLOC_MMAP_THRESHOLD_": -3}  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD


def trains_faster_compiled() -> bool:
    """Whether a training step is faster when XLA compiles it than operation by operation.

    Measured on two cores, U-Net of width 16 with batch normalisation, 4 crops of 256 x 256, a processor with AVX-512,
    where TensorFlow uses oneDNN: 0.53 s operation by operation, 0.75 s compiled. With AVX2 alone, U-Net at the paper's
    size: 17.1 s operation by operation, 8.7 s compiled.
    """
    return "avx512f" not in _flags()


def multiplies_bfloat16() -> bool:
    """Whether this processor has AMX, which makes bfloat16 several times as fast as float32; others emulate bfloat16.

    Measured on two cores with AMX, U-Net at the paper's size: 0.97 s a step in bfloat16, 3.31 s in float32.
    """
    return "amx_bf16" in _flags()


def holds_weights() -> bool:
    """Whether prediction gains from weights that are held as the processor's library wants them (oneDNN's layouts).

    TensorFlow uses oneDNN by default on a processor with AVX-512, and where TF_ENABLE_ONEDNN_OPTS=1 says so.
    """
    asked = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "").lower()
    return asked in ("1", "true") if asked else "avx512f" in _flags()


def _flags() -> str:
    """The system's description of the processor; empty if there is no /proc/cpuinfo."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""


def memory_bytes() -> int | None:
    """The memory that this process may use: the machine's, or its container's if that is less; None if unknown."""
    try:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, ValueError, OSError):  # Windows
        return None
    with suppress(OSError, ValueError):  # there is no container, or it has no limit
        found.append(int(_CONTAINER.read_text(encoding="utf-8")))
    return min(found)


@functools.cache
def keep_freed_memory() -> None:
    """Makes this process keep up to 256 MB of freed memory for later use instead of returning it to the system.

    The commands `train` and `data pack` call it. Python code does not, since the process may be another program's; for
    that case `kseg doctor` names the environment variables. An example is made in arrays of about a megabyte. With
    glibc's default settings, which change with what was freed before, some processes return each array to the system
    and get new pages, filled with zeros: 500 to 700 page faults and 1.4 ms of processor time per VOC image, a fifth of
    the time to make it. Blocks above 16 MB, such as a network's activations, are returned at once. With other C
    libraries nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for name, size in ALLOCATOR.items():
        mallopt(_MALLOPT[name], size)


@contextmanager
def without_notes() -> Iterator[None]:
    """Hides what TensorFlow writes to standard error during its import; if the import fails, all of it is shown.

    TF_CPP_MIN_LOG_LEVEL=3 alone hides the later notes, but not those of the import. TensorFlow reads it once, so it is
    set only during the import. If the user has set a level below 3, nothing is hidden.
    """
    level = os.environ.get(LOG_LEVEL)
    try:
        kept = None if level in ("0", "1", "2") else os.dup(2)
    except OSError:  # a process without standard error
        kept = None
    if kept is None:
        yield
        return
    if sys.stderr:
        sys.stderr.flush()
    os.environ[LOG_LEVEL] = "3"
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            if level is None:
                del os.environ[LOG_LEVEL]
