"""The device that a name stands for, the same for every command: training, sampling, extractors, LPIPS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vgbench.errors import ConfigError

if TYPE_CHECKING:
    import torch

AUTO = "auto"


def device_of(name: str) -> torch.device:
    """Return the device of a name, after making sure that it can be used.

    Args:
        name: "cpu"; "cuda" or "cuda:1" (NVIDIA and AMD GPUs); another accelerator that PyTorch knows, such as
            "mps"; or "auto", which is "cuda" where there is such a GPU and "cpu" elsewhere.

    Raises:
        ConfigError: an unknown name, or a device that this machine or this PyTorch does not have.
    """
    import torch

    names = device_names()
    wanted = str(name)
    if wanted == AUTO:
        wanted = "cuda" if "cuda" in names else "cpu"
    if wanted not in names:
        raise ConfigError(f"device '{name}' cannot be used: {_reason(wanted, names)}", _remedy(names))
    device = torch.device(wanted)
    try:  # a GPU may be listed and still refuse, for example one in exclusive use
        torch.empty(0, device=device)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device '{name}' cannot be used: {reason}", _remedy(names)) from error
    return device


def device_names() -> list[str]:
    """List every name but "auto" that can be used on this machine, such as ["cpu", "cuda", "cuda:0"]."""
    import torch

    names = ["cpu"]
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if accelerator is not None:
        names.append(accelerator.type)
        names += [f"{accelerator.type}:{index}" for index in range(torch.accelerator.device_count())]
    return names


def _reason(name: str, names: list[str]) -> str:
    import torch

    kind = name.partition(":")[0]
    if kind in names:
        return f"there is no {kind} device of that number"
    if kind == "cuda" and not torch.backends.cuda.is_built():  # type: ignore[no-untyped-call]
        return "this PyTorch was built without CUDA"
    if kind in ("cuda", "mps", "xpu"):
        return "PyTorch finds no such device on this machine"
    return "PyTorch has no device of that name"


def _remedy(names: list[str]) -> str:
    return f"choose one of {', '.join([AUTO, *names])}"
