"""Tokenizers of Hugging Face's, for text towers that are not CLIP's own: SigLIP, SigLIP 2, BiomedCLIP."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from napari_clearclip.engine.weights import ModelError

_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "spiece.model", "tokenizer.model")
_MISSING = 'its words need a library that is missing: pip install "napari-clearclip[words]"'


def missing_library(text: Mapping[str, Any]) -> str:
    """What must be installed before a model's words can be read, in a sentence; empty if nothing.

    Parameters
    ----------
    text : mapping
        ``text_cfg`` of open_clip's configuration.
    """
    return _MISSING if is_foreign(text) and find_spec("transformers") is None else ""


def is_foreign(text: Mapping[str, Any]) -> bool:
    """Whether a model reads words by a tokenizer of Hugging Face's."""
    return bool(text.get("hf_model_name") or text.get("hf_tokenizer_name"))


def check_library(text: Mapping[str, Any], model: str) -> None:
    """Refuse a model whose words cannot be read, before anything of it is downloaded.

    Raises
    ------
    ModelError
        With what to install.
    """
    if missing := missing_library(text):
        raise ModelError(f"{model} cannot be loaded: {missing}")


class HubTokenizer:
    """Texts to token ids of the full context, padded as the text tower was trained.

    Parameters
    ----------
    tokenizer : open_clip.tokenizer.HFTokenizer
        open_clip's own wrapper, which cleans texts and pads.
    context : int
        Tokens of a text, padding included.
    """

    def __init__(self, tokenizer: Any, context: int) -> None:
        self._tokenizer = tokenizer
        self.context = context

    def tokens(self, text: str) -> list[int]:
        """The text's token ids, padding included.

        Raises
        ------
        ValueError
            If the text has more tokens than the model reads; nothing is cut off silently.
        """
        count = len(self._tokenizer.tokenizer(self._tokenizer.clean_fn(text)).input_ids)
        if count > self.context:
            raise ValueError(f"{text!r} has {count} tokens, the model reads at most {self.context}; use fewer words")
        ids: list[int] = self._tokenizer(text, self.context)[0].tolist()
        return ids


def hub_tokenizer(text: Mapping[str, Any], folder: Path, model: str) -> HubTokenizer:
    """The tokenizer that a model's configuration asks for.

    Parameters
    ----------
    text : mapping
        ``text_cfg`` of open_clip's configuration.
    folder : Path
        Where the weights lie; tokenizer files beside them come first, then the hub's cache, then the hub.
    model : str
        The model's name, for messages.

    Raises
    ------
    ModelError
        If a library is missing, or the tokenizer's files are neither here nor can be downloaded.
    """
    from open_clip.tokenizer import HFTokenizer

    name = text.get("hf_tokenizer_name") or text["hf_model_name"]
    source = str(folder) if any((folder / file).is_file() for file in _FILES) else name
    context, options = int(text.get("context_length", 77)), dict(text.get("tokenizer_kwargs") or {})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a newer version will do
            tokenizer = HFTokenizer(source, context, tokenizer_mode=text.get("tokenizer_mode"), **options)
    except ImportError as error:
        raise ModelError(f"{model} cannot be loaded: {_MISSING} ({error})") from error
    except (OSError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelError(
            f"the tokenizer {name} of {model} is not on this machine and cannot be downloaded ({reason}); connect to "
            f"the internet once, or put its files ({_FILES[0]}, {_FILES[1]}) beside the weights in {folder}"
        ) from error
    return HubTokenizer(tokenizer, context)
