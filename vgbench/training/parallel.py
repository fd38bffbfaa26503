"""Means over processes. Gradients are averaged by one flat all-reduce per backward pass, as in StyleGAN3.

DistributedDataParallel is not used, because its hooks do not see double backward passes, fail on parameters
that a phase does not use, and broadcast batch norm buffers in the middle of a step with two forward passes. A
flat mean has no such special cases, and is the same code for one process, for gloo and for NCCL.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from vgbench.distributed import World
from vgbench.reference_models.layers import AnyBatchNorm


def share_weights(modules: Iterable[nn.Module], world: World) -> None:
    """Give every process the parameters and buffers of rank 0."""
    if world.size == 1:
        return
    import torch.distributed as dist

    for module in modules:
        for tensor in [*module.parameters(), *module.buffers()]:
            dist.broadcast(tensor.detach(), src=0)


def average_gradients(parameters: Iterable[nn.Parameter], world: World) -> None:
    """Replace each gradient by its mean over all processes; a gradient that a process lacks counts as zero.

    A parameter without gradient in all processes keeps none, as with one process; otherwise momentum and
    weight decay of the optimiser would change it.
    """
    if world.size == 1:
        return
    import torch.distributed as dist

    parameters = list(parameters)
    held = _reachable(
        torch.tensor([parameter.grad is not None for parameter in parameters], dtype=torch.int32)
    )
    dist.all_reduce(held, dist.ReduceOp.MAX)
    gradients = []
    for parameter, anywhere in zip(parameters, held.tolist(), strict=True):
        if anywhere:
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            gradients.append(parameter.grad)
    if not gradients:
        return
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= world.size
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()


def average_statistics(modules: Iterable[nn.Module], world: World) -> None:
    """Replace the running statistics of batch norms by their means over all processes."""
    if world.size == 1:
        return
    for module in modules:
        for part in module.modules():
            if isinstance(part, AnyBatchNorm) and part.running_var is not None:
                assert part.running_mean is not None
                for statistic in (part.running_mean, part.running_var):
                    statistic.copy_(mean_over_processes(statistic, world))


def mean_over_processes(value: torch.Tensor, world: World) -> torch.Tensor:
    """Return the mean of a tensor over all processes."""
    if world.size == 1:
        return value
    import torch.distributed as dist

    shared = _reachable(value)
    dist.all_reduce(shared)
    return (shared / world.size).to(value.device)


def largest_over_processes(value: int, world: World) -> int:
    """Return the largest of the numbers of all processes."""
    if world.size == 1:
        return value
    import torch.distributed as dist

    shared = _reachable(torch.tensor(value))
    dist.all_reduce(shared, dist.ReduceOp.MAX)
    return int(shared)


def _reachable(value: torch.Tensor) -> torch.Tensor:
    """Copy a tensor to a device that the process group can use: NCCL needs it on the GPU."""
    import torch.distributed as dist

    return value.to("cuda") if dist.get_backend() == "nccl" else value.clone()
