"""`device_of`: one way from a name to a device, and one error where there is none."""

import pytest
import torch

from vgbench.device import device_names, device_of
from vgbench.errors import ConfigError


@pytest.fixture
def machine(monkeypatch):
    """Pretend that this machine has `count` accelerators of one kind; tensors are made on the CPU."""

    def pretend(kind: str | None, count: int = 0) -> None:
        monkeypatch.setattr(torch.accelerator, "is_available", lambda: kind is not None)
        monkeypatch.setattr(torch.accelerator, "device_count", lambda: count)
        monkeypatch.setattr(
            torch.accelerator, "current_accelerator", lambda: torch.device(kind) if kind else None
        )
        empty = torch.empty
        monkeypatch.setattr(torch, "empty", lambda *size, device: empty(*size))

    return pretend


def test_without_an_accelerator_only_the_cpu_is_there(machine):
    machine(None)
    assert device_names() == ["cpu"]
    assert device_of("auto") == device_of("cpu") == torch.device("cpu")


def test_a_gpu_is_taken_by_auto_by_kind_and_by_number(machine):
    machine("cuda", 2)
    assert device_names() == ["cpu", "cuda", "cuda:0", "cuda:1"]
    assert device_of("auto") == device_of("cuda") == torch.device("cuda")
    assert device_of("cuda:1") == torch.device("cuda", 1)
    assert device_of("cpu") == torch.device("cpu")


def test_other_accelerators_are_used_by_name_only(machine):
    machine("mps", 1)
    assert device_of("auto") == torch.device("cpu")
    assert device_of("mps") == torch.device("mps")


@pytest.mark.parametrize(
    ("kind", "count", "name", "reason"),
    [
        (None, 0, "mps", "no such device on this machine"),
        (None, 0, "gpu", "no device of that name"),
        (None, 0, "", "no device of that name"),
        (None, 0, "meta", "no device of that name"),
        (None, 0, "cpu:3", "no cpu device of that number"),
        ("cuda", 2, "cuda:2", "no cuda device of that number"),
        ("cuda", 2, "cuda:-1", "no cuda device of that number"),
        ("cuda", 2, "cuda:x", "no cuda device of that number"),
        ("mps", 1, "xpu", "no such device on this machine"),
    ],
)
def test_what_is_not_there_is_an_error_that_names_what_is(machine, kind, count, name, reason):
    machine(kind, count)
    with pytest.raises(ConfigError, match=f"device '{name}' cannot be used: .*{reason}") as caught:
        device_of(name)
    assert caught.value.remedy == f"choose one of {', '.join(['auto', *device_names()])}"


@pytest.mark.parametrize(("built", "reason"), [(False, "built without CUDA"), (True, "no such device")])
def test_the_error_tells_a_pytorch_without_cuda_from_a_machine_without_a_gpu(
    machine, monkeypatch, built, reason
):
    machine(None)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: built)
    with pytest.raises(ConfigError, match=reason):
        device_of("cuda:0")


def test_a_gpu_that_refuses_is_an_error(machine, monkeypatch):
    machine("cuda", 1)

    def busy(*size, device):
        raise RuntimeError("CUDA error: all CUDA-capable devices are busy\nset CUDA_LAUNCH_BLOCKING")

    monkeypatch.setattr(torch, "empty", busy)
    with pytest.raises(ConfigError, match=r"device 'auto' cannot be used: CUDA error: .* busy$"):
        device_of("auto")
