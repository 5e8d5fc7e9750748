"""Reading weights files, without running code from them, into a model."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch


class ModelError(ValueError):
    """A model that cannot be loaded, with what to do about it."""


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a weights file, read without running code from it.

    Raises
    ------
    ModelError
        If the file is a TorchScript archive, is damaged, or holds something else than tensors.
    """
    try:
        if path.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            if _is_torchscript(path):
                raise ModelError(
                    f"{path.name} is a TorchScript archive, which holds code. If you trust it, save its weights once: "
                    f"safetensors.torch.save_file(torch.jit.load('{path.name}').state_dict(), 'weights.safetensors')"
                )
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        if isinstance(error, ModelError):
            raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelError(f"{path} cannot be read as weights, it may be damaged: {reason}") from error
    except Exception as error:
        if type(error).__module__.startswith("safetensors"):
            raise ModelError(f"{path} cannot be read as weights, it may be damaged: {error}") from error
        raise
    return _clean_state(content, path)


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _clean_state(content: Any, path: Path) -> dict[str, torch.Tensor]:
    """A state dict in open_clip's names: wrappers, prefixes and what is no weight taken off."""
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds no weights but a {type(content).__name__}")
    state = {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}
    if state and all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    state = {key.removeprefix("text."): value for key, value in state.items()}
    state = {key: value for key, value in state.items() if not key.endswith("embeddings.position_ids")}
    for extra in ("input_resolution", "context_length", "vocab_size", "attn_mask", "text.attn_mask"):
        state.pop(extra, None)
    for number in ("logit_scale", "logit_bias"):
        if number in state:
            state[number] = state[number].reshape(())
    return state


def fill(clip: torch.nn.Module, state: dict[str, torch.Tensor], path: Path) -> None:
    """Copy the weights into the model; every one must be there and fit, but for the bias of a score that it has not."""
    wanted = clip.state_dict()
    state = {name: value for name, value in state.items() if name in wanted or name != "logit_bias"}
    if any(name.startswith("text.") for name in wanted):  # a text tower of its own, whose prefix `read_state` took off
        own = ("visual.", "logit_")
        state = {name if name.startswith(own) else f"text.{name}": value for name, value in state.items()}
    missing = [name for name in wanted if name not in state]
    surplus = [name for name in state if name not in wanted]
    wrong = [name for name in wanted if name in state and state[name].shape != wanted[name].shape]
    for names, what in ((missing, "lacks"), (surplus, "has a surplus"), (wrong, "has another size of")):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ModelError(f"{path.name} does not fit the architecture: it {what} {names[0]}{more}")
    clip.load_state_dict(state)


def file_hash(path: Path) -> str:
    """Hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
