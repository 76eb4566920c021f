"""PyTorch: eager and compiled, on a processor or a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from benchmarks.peers.torch_networks import network

TYPES = {"mixed_bfloat16": torch.bfloat16, "mixed_float16": torch.float16}


def load(task: Any) -> torch.nn.Module:
    torch.set_num_threads(task.threads)
    if task.device == "cuda":  # what both libraries do with float32 on a GPU; PyTorch has it for convolutions alone
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    return network(task.work).to(task.device)


def caller(model: torch.nn.Module, task: Any) -> Callable[[], Any]:
    layout = torch.channels_last if task.choice.get("layout") == "channels last" else torch.contiguous_format
    model = model.to(memory_format=layout)
    return (_step if task.work.is_step else _forward)(model, task, layout)


def _mixed(task: Any) -> Any:
    kind = TYPES.get(task.precision)
    return torch.autocast(task.device, kind) if kind else contextlib.nullcontext()


def _compiled(model: torch.nn.Module, task: Any) -> Any:
    if task.system != "torch.compile":
        return model
    import torch._inductor.config as settings

    settings.freezing = task.choice.get("weights") == "frozen"
    return torch.compile(model)


def _forward(model: torch.nn.Module, task: Any, layout: torch.memory_format) -> Callable[[], Any]:
    run = _compiled(model.eval(), task)
    image = task.work.image(task.batch).transpose(0, 3, 1, 2).copy()

    @torch.inference_mode()
    def forward() -> Any:
        given = torch.from_numpy(image).to(task.device, memory_format=layout)
        with _mixed(task):
            scores = run(given)
        return scores.float().permute(0, 2, 3, 1).cpu().numpy()

    return forward


def _step(model: torch.nn.Module, task: Any, layout: torch.memory_format) -> Callable[[], float]:
    work, run = task.work, _compiled(model.train(), task)
    trained = [each for each in model.parameters() if each.requires_grad]
    how = {"fused": True} if task.choice.get("optimizer") == "fused" else {"foreach": True}
    optimizer = torch.optim.SGD(trained, lr=work.learning_rate, momentum=work.momentum, **how)
    image = torch.from_numpy(work.image(task.batch).transpose(0, 3, 1, 2).copy())
    image = image.to(task.device, memory_format=layout)
    label = torch.from_numpy(work.label(task.batch)).long().to(task.device)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        with _mixed(task):
            loss = functional.cross_entropy(run(image).float(), label)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step
