"""What this processor computes fast, how much memory there is, and settings of the process, without TensorFlow."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"  # TensorFlow's own name for it
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"  # TensorFlow's own name, too
# Bytes: glibc's environment variables that do the same as `keep_freed_memory`
ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": 1 << 28, "MALLOC_MMAP_THRESHOLD_": 1 << 24}
_CONTAINER = Path("/sys/fs/cgroup/memory.max")  # the limit of this process's container, bytes
_MALLOPT = {"MALLOC_TRIM_THRESHOLD_": -1, "MALLOC_MMAP_THRESHOLD_": -3}  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD


@dataclass(frozen=True)
class Settings:
    """What one kind of processor computes fastest with.

    Attributes:
      kind: its name in `doctor` and in config.json.
      onednn: whether TensorFlow computes by oneDNN (TF_ENABLE_ONEDNN_OPTS); None leaves it to TensorFlow.
      compiled_steps: whether a training step is faster when XLA compiles it than operation by operation.
      holds_weights: whether prediction by oneDNN gains from weights that are held in oneDNN's own layouts.
      bfloat16: whether the processor multiplies matrices in bfloat16; others emulate it.
    """

    kind: str
    onednn: bool | None
    compiled_steps: bool
    holds_weights: bool
    bfloat16: bool


# The kinds of processors by the flag that decides, the quickest first. Figures are seconds: TensorFlow 2.21, two cores.
TABLE = {
    # U-Net at the paper's size (572 x 572): a step 0.97 in bfloat16, 3.31 in float32; XLA loses AMX (prediction in
    # bfloat16 1.14, 0.196 by oneDNN). The rest as with AVX-512, which is all that float32 uses.
    "amx_bf16": Settings("AMX", onednn=True, compiled_steps=False, holds_weights=True, bfloat16=True),
    # In float32, on a processor with AMX. A step of U-Net at the paper's size: 3.31 by oneDNN, 8.15 without, 3.63
    # by XLA; of own-unet's network, 4 crops of 256 x 256: 0.53 by oneDNN, 0.75 by XLA. U-Net predicts in 1.53 with
    # variables, 0.96 with held weights.
    "avx512f": Settings("AVX-512", onednn=True, compiled_steps=False, holds_weights=True, bfloat16=False),
    # On a processor with AVX2 alone. U-Net predicts in 2.63 without oneDNN, 5.20 by oneDNN, 2.52 by XLA, FCN-32s in
    # 3.02, 5.39, 4.32; a step of U-Net takes 17.1 without oneDNN, 8.70 by XLA, of FCN-8s 8.19 and 5.87. Held weights
    # are measured only where AVX2 was imitated (ONEDNN_MAX_CPU_ISA=AVX2 on a processor with AVX-512): U-Net 2.61
    # without oneDNN, 3.74 by oneDNN, 2.17 when it holds them; FCN-32s 1.79, 2.64, 1.59. So holding gains if a user sets
    # oneDNN on, but the first calls lose more, and the imitation is kinder to oneDNN than AVX2 is.
    "avx2": Settings("AVX2", onednn=False, compiled_steps=True, holds_weights=True, bfloat16=False),
}
# Nothing is measured on any other processor.
OTHER = Settings("another processor", onednn=None, compiled_steps=True, holds_weights=True, bfloat16=False)
# The processors where TensorFlow computes by oneDNN on its own, by its port.cc
_ONEDNN_FLAGS = {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}


def settings() -> Settings:
    """What suits this processor."""
    flags = _flags().split()
    return next((found for flag, found in TABLE.items() if flag in flags), OTHER)


def trains_faster_compiled() -> bool:
    """Whether a training step is faster when XLA compiles it than operation by operation."""
    return settings().compiled_steps


def multiplies_bfloat16() -> bool:
    """Whether this processor has AMX, which makes bfloat16 several times as fast as float32."""
    return settings().bfloat16


def holds_weights() -> bool:
    """Whether prediction gains from weights that are held as the processor's library wants them (oneDNN's layouts)."""
    return settings().holds_weights and has_onednn()


def has_onednn() -> bool:
    """Whether TensorFlow computes by oneDNN: as the environment says, else as TensorFlow decides by itself."""
    if (asked := asked_onednn()) is not None:
        return asked
    return not _ONEDNN_FLAGS.isdisjoint(_flags().split())


def asked_onednn() -> bool | None:
    """What TF_ENABLE_ONEDNN_OPTS says; None where it is not set, or to nothing that TensorFlow understands."""
    return {"1": True, "true": True, "0": False, "false": False}.get(os.environ.get(ONEDNN, "").lower())


def choose_onednn(wanted: bool | None) -> None:
    """Makes a TensorFlow that is imported later use oneDNN or not, unless the user has set the variable for it."""
    if wanted is not None:
        os.environ.setdefault(ONEDNN, str(int(wanted)))


def onednn_advice() -> str:
    """What to do for this processor's setting of oneDNN; "" where it is in force."""
    wanted = settings().onednn
    if wanted in (None, has_onednn()):
        return ""
    way = "with" if wanted else "without"
    return (
        f"TensorFlow is faster {way} oneDNN on this processor ({settings().kind}): export {ONEDNN}={int(wanted or 0)} "
        "before Python starts. kseg's commands do so, unless the variable is set."
    )


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
