"""Measures the systems in turns, so that a machine whose speed drifts slows all of them alike."""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.peers.compare import agreement, difference, forward_fault, step_agreement, step_fault
from benchmarks.peers.process import Process, SystemFailure
from benchmarks.peers.works import Task, Work

GROUP_S = 0.5  # of calls, in one system's turn
CALLS = 10  # at most, in one turn

Row = dict[str, Any]


@dataclass(frozen=True)
class System:
    """A library.

    Attributes:
      module: in benchmarks.peers.systems.
      needs: the packages that it imports.
      trains: whether it does training steps.
      precisions: those it computes in; None for all.
      reads_file: whether it reads the network from an ONNX file, which PyTorch writes.
      choices: ways to do the same, by name of what there is to choose. The quickest is kept.
      step_choices: the same for training steps only; `forward_choices` for prediction only.
      environment: further variables of its process.
    """

    module: str
    needs: tuple[str, ...]
    trains: bool = True
    precisions: tuple[str, ...] | None = None
    reads_file: bool = False
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    step_choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    forward_choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def reason(self, task: Task) -> str:
        """Why it can't do a task; empty if it can."""
        for package in self.needs:
            if importlib.util.find_spec(package) is None:
                return f"{package} is not installed (pip install 'kseg[bench]')"
        if task.work.is_step and not self.trains:
            return "it does no training steps"
        if self.precisions and task.precision not in self.precisions:
            return f"it computes in {', '.join(self.precisions)} alone"
        return ""


LAYOUTS = {"layout": ("contiguous", "channels last")}
TORCH = System("torch_system", ("torch",), choices=LAYOUTS, step_choices={"optimizer": ("foreach", "fused")})
COMPILED = System("torch_system", ("torch",), choices=LAYOUTS, forward_choices={"weights": ("arguments", "frozen")})
ONNX = ("torch", "onnx", "onnxscript")
SYSTEMS = {
    "kseg": System("kseg_system", ("tensorflow",)),
    "torch": TORCH,
    "torch.compile": COMPILED,
    "onnxruntime": System("onnxruntime_system", (*ONNX, "onnxruntime"), False, ("float32",), reads_file=True),
    "openvino": System("openvino_system", (*ONNX, "openvino"), False, reads_file=True),
}
GPU_SYSTEMS = {
    "kseg": System("jax_system", ("jax", "keras"), environment={"KERAS_BACKEND": "jax"}),
    "torch": TORCH,
    "torch.compile": replace(COMPILED, forward_choices={}),
}


@dataclass
class Runner:
    """Measures works and collects rows.

    Attributes:
      systems: by name.
      rounds: how many turns each system gets; the median of them counts.
      threads: of each system.
      device: cpu or cuda.
      epsilon: the rounding of one product in float32; TF32 rounds more.
      say: takes a line for the user.
      rows: one per work, system, precision and batch.
      reasons: why there is no row, by (system, reason), with the first task that found it.
      faults: what is wrong with results.
    """

    systems: Mapping[str, System]
    rounds: int = 5
    threads: int = 2
    device: str = "cpu"
    epsilon: float = 2.0**-24
    say: Callable[[str], None] = lambda line: None
    rows: list[Row] = field(default_factory=list)
    reasons: dict[tuple[str, str], str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def run(self, work: Work, batches: Iterable[int], precisions: Sequence[str]) -> None:
        """Measures a work with all systems. Of float32 comes the reference, so it is measured first."""
        for batch in batches:
            wanted: Any = None
            for precision in sorted(precisions, key=lambda name: name != "float32"):
                with tempfile.TemporaryDirectory(prefix="kseg-peers-") as folder:
                    wanted = self._measure(work, batch, precision, Path(folder), wanted)

    def _measure(self, work: Work, batch: int, precision: str, folder: Path, wanted: Any) -> Any:
        """Adds the rows of one work, batch and precision. Returns the result of the reference in float32."""
        title = f"{work.name}, batch {batch}, {precision}"
        with ExitStack() as stack:
            processes: dict[str, Process] = {}
            blank = Task(work, batch, precision, "", device=self.device, threads=self.threads)
            chosen: dict[str, str] = {}
            for name, system in self.systems.items():
                task = replace(blank, system=name, choice=chosen if system.module == TORCH.module else {})
                try:
                    if reason := system.reason(task):
                        raise SystemFailure(reason)
                    processes[name] = self._quickest(system, task, folder)
                    stack.callback(processes[name].close)
                except SystemFailure as failure:
                    self._no_row(name, str(failure), title)
                    continue
                chosen = processes[name].task.choice if name == "torch" else chosen
                self.say(f"{title}: {name} is warm ({_choice(processes[name].task)})")
            calls = _calls(processes)
            turns: dict[str, list[float]] = {name: [] for name in processes}
            for _ in range(self.rounds):
                for name, process in list(processes.items()):
                    try:
                        turns[name].append(process.seconds(calls))
                    except SystemFailure as failure:
                        self._no_row(name, str(failure), title)
                        del processes[name]
            results = {name: process.result() for name, process in processes.items()}
            peaks = {name: process.peak_mb() for name, process in processes.items()}
        reference = self._reference()
        if wanted is None and precision == "float32":
            wanted = results.get(reference)
        elif wanted is None:
            wanted = self._float32(replace(blank, precision="float32", system=reference), calls, folder)
        for name, process in processes.items():
            row: Row = {
                "work": work.name,
                "system": name,
                "precision": precision,
                "batch": batch,
                "seconds": statistics.median(turns[name]),
                "peak_mb": round(peaks[name]),
                "agreement": None,
                "first_call_s": process.first_call_s,
                "rounds_s": turns[name],
                "choice": process.task.choice,
            }
            if wanted is not None:
                self._compare(row, work, results[name], wanted)
            self.rows.append(row)
            self.say(f"{title}: {name} takes {row['seconds']:.4f} s")
        return wanted

    def _compare(self, row: Row, work: Work, found: Any, wanted: Any) -> None:
        if work.is_step:
            row |= {"agreement": step_agreement(found, wanted), "losses": [found[0], found[-1]]}
            fault = step_fault(row["precision"], found, wanted)
        else:
            fault = forward_fault(work, row["precision"], found, wanted, self.epsilon)
            if found.shape == wanted.shape:
                row |= {"agreement": agreement(found, wanted), "difference": difference(found, wanted)}
        if fault:
            self.faults.append(f"{work.name}, batch {row['batch']}, {row['precision']}: {row['system']}: {fault}")

    def _reference(self) -> str:
        """The system whose float32 results are taken as right: PyTorch, or kseg where it is missing."""
        torch = self.systems.get("torch")
        return "torch" if torch and importlib.util.find_spec("torch") else "kseg"

    def _float32(self, task: Task, calls: int, folder: Path) -> Any:
        """The result of the reference in float32, where float32 itself is not measured; None if it fails."""
        system = self.systems[task.system]
        try:
            process = Process(system.module, task, folder, dict(system.environment))
        except SystemFailure:
            return None
        try:
            if task.work.is_step:
                process.seconds(calls * self.rounds)
            return process.result()
        finally:
            process.close()

    def _quickest(self, system: System, task: Task, folder: Path) -> Process:
        """A process of the system with the quickest of its choices, one after the other; the slower ones are ended.

        Raises:
          SystemFailure: it fails with the first choices.
        """
        if system.reads_file:
            task = replace(task, file=self._file(task, folder))
        special = system.step_choices if task.work.is_step else system.forward_choices
        choices = {**system.choices, **special}
        first = {name: values[0] for name, values in choices.items()}
        best = self._process(system, replace(task, choice={**task.choice, **first}), folder)
        for name, values in choices.items():
            for value in values[1:]:
                choice = {**best.task.choice, name: value}
                try:
                    other = self._process(system, replace(task, choice=choice), folder)
                except SystemFailure:
                    continue
                slower, best = sorted((best, other), key=lambda process: -process.call_s)
                slower.close()
        return best

    def _process(self, system: System, task: Task, folder: Path) -> Process:
        return Process(system.module, task, folder, dict(system.environment))

    def _file(self, task: Task, folder: Path) -> str:
        """The network as an ONNX file."""
        file = folder / "network.onnx"
        if not file.exists():
            Process("onnx_file", replace(task, file=str(file)), folder, {}).close()
        return str(file)

    def _no_row(self, name: str, reason: str, title: str) -> None:
        if (name, reason) not in self.reasons:
            self.reasons[name, reason] = title
            self.say(f"{title}: no row for {name}: {reason}")


def _calls(processes: Mapping[str, Process]) -> int:
    """Calls per turn. All systems do the same number, so that training steps end at the same step."""
    first = next(iter(processes.values()), None)
    return 1 if first is None else max(1, min(CALLS, round(GROUP_S / max(first.call_s, 1e-6))))


def _choice(task: Task) -> str:
    return ", ".join(task.choice.values()) or "nothing to choose"
