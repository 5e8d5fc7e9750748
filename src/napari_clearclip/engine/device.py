"""Where to compute: the device that a name stands for on this machine, and why."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def resolve_device(name: str = "auto") -> tuple[str, str]:
    """The device to use and one sentence that says why.

    Parameters
    ----------
    name : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Returns
    -------
    device, reason : str
        A torch device and a sentence for the user.

    Raises
    ------
    ValueError
        If a GPU is asked for that torch cannot use here.
    """
    import torch

    cuda = torch.cuda.is_available()
    mps = torch.backends.mps.is_available()
    if name == "cpu":
        return "cpu", "The CPU was chosen."
    if name.startswith("cuda"):
        index = int(name.partition(":")[2] or 0)
        if not cuda:
            built = torch.version.cuda
            why = "no NVIDIA GPU or driver was found" if built else "this build of torch has no CUDA support"
            raise ValueError(f"device {name!r} cannot be used: {why}; choose auto or cpu")
        if index >= torch.cuda.device_count():
            raise ValueError(f"device {name!r} does not exist: there are {torch.cuda.device_count()} CUDA devices")
        return f"cuda:{index}", f"{torch.cuda.get_device_name(index)} was chosen."
    if name == "mps":
        if not mps:
            raise ValueError(
                "device 'mps' cannot be used: this is no Apple GPU that torch supports; choose auto or cpu"
            )
        return "mps", "The Apple GPU was chosen."
    if name != "auto":
        raise ValueError(f"unknown device {name!r}; choose auto, cpu, cuda, cuda:N or mps")
    if cuda:
        return "cuda:0", f"{torch.cuda.get_device_name(0)} was found."
    if mps:
        return "mps", "An Apple GPU was found."
    why = "torch found no NVIDIA GPU or driver" if torch.version.cuda else "this build of torch has no CUDA support"
    return "cpu", f"The CPU is used: {why}."


def sent(tensor: torch.Tensor, device: str, dtype: torch.dtype) -> torch.Tensor:
    """A tensor on a device; to a CUDA GPU through pinned memory, so that this thread goes on while it is copied."""
    if device.startswith("cuda") and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True).to(dtype)
    return tensor.to(device, dtype)


@cache
def usual_threads() -> int:
    """How many CPU cores torch takes by itself."""
    import torch

    return torch.get_num_threads()


def use_threads(threads: int | None) -> None:
    """Compute with so many CPU cores in this thread and in later ones; None = as many as torch takes by itself.

    Notes
    -----
    Where others compute too, fewer can be faster: small models wait for the slowest core.
    """
    import torch

    wanted = threads or usual_threads()
    if usual_threads() != wanted or torch.get_num_threads() != wanted:
        torch.set_num_threads(wanted)


def free_memory() -> None:
    """Give memory that is no longer used back to the GPU."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
