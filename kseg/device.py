"""What this machine does quickly and holds, as far as it can be told without TensorFlow."""

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
# Bytes; what `keep_freed_memory` asks glibc for, by the variable that asks for the same
ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": 1 << 28, "MALLOC_MMAP_THRESHOLD_": 1 << 24}
_OPTIONS = {
    "MALLOC_TRIM_THRESHOLD_": -1,
    "MALLOC_MMAP_THRESHOLD_": -3,
}  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h


def trains_faster_compiled() -> bool:
    """Whether a training step is quicker through XLA than operation by operation.

    Measured on two cores, U-Net of width 16 and batch normalisation, 4 crops of 256 x 256: with AVX-512, where
    TensorFlow has oneDNN on, 0.53 s against 0.75 s compiled. With AVX2 alone it is the other way round: at the
    paper's size 17.1 s against 8.7 s.
    """
    return "avx512f" not in _flags()


def multiplies_bfloat16() -> bool:
    """Whether this processor has AMX: bfloat16 is then several times float32's speed, and emulated elsewhere.

    Measured on two cores with AMX, U-Net at the paper's size: 0.97 s a step against 3.31 s.
    """
    return "amx_bf16" in _flags()


def _flags() -> str:
    """What the system says of the processor; nothing where there is no /proc/cpuinfo."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""


def memory_bytes() -> int | None:
    """The memory this process may fill: the machine's or, where that is less, its container's; None where unknown."""
    try:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, ValueError, OSError):  # Windows
        return None
    with suppress(OSError, ValueError):  # no container, or none with a limit
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="utf-8")))
    return min(found)


@functools.cache
def keep_freed_memory() -> None:
    """Makes this process keep up to 256 MB that it freed, for what it needs next, rather than hand it back each time.

    `train` and `data pack` call it. Nothing in Python does, where the process is not kseg's: there `kseg doctor` names
    the variables. An example is made in arrays of a megabyte or so. On glibc's own settings, whose limits move with
    what was freed before, some runs hand each back and get it anew, filled with zeros page by page: 500 to 700 page
    faults and 1.4 ms of processor time per VOC image, a fifth of what making it takes. Blocks above 16 MB, a network's
    activations, go back at once. Other C libraries stay as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for name, size in ALLOCATOR.items():
        mallopt(_OPTIONS[name], size)


@contextmanager
def without_notes() -> Iterator[None]:
    """Holds back what TensorFlow writes to standard error while it is imported; where that fails all of it comes.

    TF_CPP_MIN_LOG_LEVEL=3 alone hides the later notes, but not those of the import. TensorFlow reads it once, so that
    it is set for the import alone. A level below 3 asks for the notes.
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
