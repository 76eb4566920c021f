"""The processor and the libraries of a measurement, and the imitation of a processor that does less."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

IMITATE = "KSEG_BENCHMARK_IMITATE"
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # those that decide which kernels run
HIDDEN = {"avx2": ("avx512", "amx", "avx_vnni")}  # the beginnings of the flags that an imitated processor lacks
# The variables by which the libraries leave instructions out. TensorFlow switches oneDNN off where there is only AVX2.
SETTINGS = {
    "avx2": {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
        "TF_ENABLE_ONEDNN_OPTS": "0",
    }
}
PACKAGES = ("tensorflow", "keras", "torch", "onnxruntime", "openvino", "jax", "numpy")


def flags() -> list[str]:
    """All flags of the processor, without those that the imitated one lacks; none where there is no /proc/cpuinfo."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    hidden = HIDDEN.get(os.environ.get(IMITATE, ""), ())
    return [flag for flag in found if not flag.startswith(hidden)] if hidden else found


def name() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def kind() -> str:
    """A short name for processors that run the same kernels: avx512f-amx_bf16, avx2, avx2-imitated."""
    found = flags()
    widest = "avx512f" if "avx512f" in found else "avx2" if "avx2" in found else platform.machine()
    parts = [widest, *(["amx_bf16"] if "amx_bf16" in found else [])]
    return "-".join([*parts, *(["imitated"] if os.environ.get(IMITATE) else [])])


def machine(threads: int) -> dict[str, Any]:
    """What a table must say of the machine."""
    found, versions = flags(), {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "kind": kind(),
        "processor": name(),
        "flags": [flag for flag in FLAGS if flag in found],
        "imitated": os.environ.get(IMITATE, ""),
        "cores": len(os.sched_getaffinity(0)),
        "threads": threads,
        "versions": versions,
    }


def card() -> str:
    """The name of the first GPU; empty where there is none."""
    try:
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        found = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.splitlines()[0].strip() if found.strip() else ""


def environment(threads: int, folder: Path) -> dict[str, str]:
    """The environment of a system's process. What the user has set wins over the imitation."""
    limits = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    own = {
        **dict.fromkeys(limits, str(threads)),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # other systems wait on the same GPU
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",  # the first call is that of a new machine
    }
    return {**SETTINGS.get(os.environ.get(IMITATE, ""), {}), **os.environ, **own}
