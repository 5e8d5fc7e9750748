"""Phrases to unit text vectors: templates, tokens and the text tower in cut context."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from open_clip.model import CustomTextCLIP
from torch.nn import functional

from napari_clearclip import domains
from napari_clearclip.steps import drain

if TYPE_CHECKING:
    from napari_clearclip.engine.model import Clip

# Sentences that are read together; a CPU needs about half a second for them with a base model.
_CHUNK = 40


class CompactVocabulary:
    """The few token ids that a small model was trained on, renumbered without gaps.

    Row r stands for ``token_ids[r]``; then come one row that all unknown tokens share, the start of text, and the end
    of text, which has the highest number because open_clip pools at the arg max.

    Parameters
    ----------
    token_ids : sequence of int
        Ids of open_clip's tokenizer, without its start and end tokens.
    """

    def __init__(self, token_ids: Sequence[int]) -> None:
        self._rows = {token: row for row, token in enumerate(token_ids)}
        self.unknown = len(self._rows)
        self.start = self.unknown + 1
        self.end = self.unknown + 2
        self.size = self.unknown + 3

    def rows(self, token_ids: Sequence[int]) -> list[int]:
        """The model's rows for ids of the full tokenizer."""
        return [self._rows.get(token, self.unknown) for token in token_ids]


@lru_cache(maxsize=1)
def _byte_pairs() -> Any:
    import open_clip

    return open_clip.SimpleTokenizer()


class Tokenizer:
    """CLIP's byte-pair tokenizer for a model's context and vocabulary.

    Parameters
    ----------
    context : int
        Most tokens a text may have, start and end included.
    compact : CompactVocabulary, optional
        The rows of a model that kept only part of the token table.
    """

    def __init__(self, context: int, compact: CompactVocabulary | None = None) -> None:
        self.context = context
        self.compact = compact

    def tokens(self, text: str) -> list[int]:
        """The text's token ids, from start to end token.

        Raises
        ------
        ValueError
            If the text has more tokens than the model reads; nothing is cut off silently.
        """
        pairs = _byte_pairs()
        body = pairs.encode(text)
        if len(body) + 2 > self.context:
            raise ValueError(
                f"{text!r} has {len(body) + 2} tokens, the model reads at most {self.context}; use fewer words"
            )
        if self.compact is None:
            return [pairs.sot_token_id, *body, pairs.eot_token_id]
        return [self.compact.start, *self.compact.rows(body), self.compact.end]


def sentences(templates: str | Sequence[str]) -> tuple[str, ...]:
    """The sentences of a template set, with {} for the phrase.

    Parameters
    ----------
    templates : str or sequence of str
        ``imagenet`` (the 80 of OpenAI), ``single`` ("a photo of a {}."), ``microscopy``, ``aerial``, or own sentences.
    """
    if not isinstance(templates, str):
        return tuple(templates)
    if templates == "imagenet":
        import open_clip

        return tuple(template("{}") for template in open_clip.OPENAI_IMAGENET_TEMPLATES)
    return domains.templates("photograph" if templates == "single" else templates)


def _branches(rows: Sequence[Sequence[int]]) -> tuple[list[int], list[int], torch.Tensor, list[int]]:
    """Texts as one tree, in which what they begin with alike is there once.

    Returns
    -------
    tokens, places : list of N int
        Each node's token and its place in its text.
    seen : (N, N) bool tensor
        Whether a node (row) comes after another (column) in a text, or is it.
    ends : list of B int
        Each text's last node.
    """
    nodes: dict[tuple[int, int], int] = {}  # by parent, -1 at the root, and token
    parents, places, ends = list[int](), list[int](), []
    for row in rows:
        node = -1
        for place, token in enumerate(row):
            before, node = node, nodes.setdefault((node, token), len(nodes))
            if node == len(parents):
                parents.append(before)
                places.append(place)
        ends.append(node)
    seen = torch.eye(len(parents), dtype=torch.bool)
    for node, parent in enumerate(parents):
        if parent >= 0:
            seen[node] |= seen[parent]
    return [token for _, token in nodes], places, seen, ends


@torch.inference_mode()
def embed_tokens(clip: Clip, rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Unit vectors (B, D) of texts as token ids, float32.

    CLIP's own text tower is causal: a token depends on those before it only. So the context after a text's end is left
    out (open_clip's own ``encode_text`` refuses short input), and beginnings that texts have in common are read once.
    """
    model = clip.model
    if isinstance(model, CustomTextCLIP):  # it sees whole sentences, padding included
        return functional.normalize(model.encode_text(torch.tensor(rows, device=clip.device)).float(), dim=-1)
    ids, places, seen, ends = _branches(rows)
    tokens = model.token_embedding(torch.tensor([ids], device=clip.device))  # (1, N, C)
    tokens = (tokens + model.positional_embedding[places]).to(model.transformer.get_cast_dtype())
    mask = torch.zeros(seen.shape).masked_fill(~seen, -torch.inf).to(clip.device)
    tokens = model.ln_final(model.transformer(tokens, attn_mask=mask))
    pooled = tokens[0, ends]  # (B, C)
    projection = model.text_projection
    pooled = projection(pooled) if isinstance(projection, torch.nn.Linear) else pooled @ projection
    return functional.normalize(pooled.float(), dim=-1)  # (B, D)


def embed_steps(clip: Clip, phrase: str, templates: str | Sequence[str]) -> Generator[None, None, torch.Tensor]:
    """As `embed` for one phrase, (D,), yielding after each part of the templates."""
    texts = [template.replace("{}", phrase) for template in sentences(templates)]
    rows = sorted(clip.tokenizer.tokens(text) for text in texts)  # those that begin alike beside each other
    parts = []
    for start in range(0, len(rows), _CHUNK):
        parts.append(embed_tokens(clip, rows[start : start + _CHUNK]))
        yield
    return functional.normalize(torch.cat(parts).mean(dim=0), dim=-1).cpu()


def embed(clip: Clip, phrases: Sequence[str], templates: str | Sequence[str]) -> torch.Tensor:
    """Unit text vectors of phrases.

    Parameters
    ----------
    clip : Clip
        The model.
    phrases : sequence of Q str
        Any text; each is put into every template.
    templates : str or sequence of str
        See `sentences`.

    Returns
    -------
    (Q, D) float32 tensor, on the CPU
        The mean over the templates of unit vectors, normalised again.

    Raises
    ------
    ValueError
        If a phrase has more tokens in a template than the model reads.

    References
    ----------
    Radford et al., ICML 2021, section 3.1.4: prompt ensembling in the embedding space.
    """
    return torch.stack([drain(embed_steps(clip, phrase, templates)) for phrase in phrases])
