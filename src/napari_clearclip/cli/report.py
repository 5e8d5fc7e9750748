"""What the user is told at the end: a table, and what to try where nothing was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from napari_clearclip.batch.outcome import Found
from napari_clearclip.cli.console import show, show_table, tell
from napari_clearclip.settings import Settings

Row = tuple[str, Found]
"""An image's name and one prompt in it."""


def show_rows(rows: Sequence[Row], folder: Path) -> None:
    """The table: image, prompt, coverage, highest score."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("image", overflow="fold")
    table.add_column("prompt", overflow="fold")
    table.add_column("coverage", justify="right")
    table.add_column("highest score", justify="right")
    for place, (image, row) in enumerate(rows):
        first = place == 0 or rows[place - 1][0] != image
        table.add_row(
            Text(image if first else ""), Text(row.prompt), f"{100 * row.coverage:.1f} %", f"{row.highest:.2f}"
        )
    show_table(table)
    show(f"Written to {folder.resolve()}")


def advise(rows: Sequence[Row], settings: Settings) -> None:
    """For each prompt that was found nowhere: what to try."""
    for prompt in dict.fromkeys(row.prompt for _, row in rows):
        mine = [row for _, row in rows if row.prompt == prompt]
        if any(row.coverage for row in mine):
            continue
        highest, threshold = max(row.highest for row in mine), mine[0].threshold
        if highest < threshold:
            why = f"its highest score is {highest:.2f}, the threshold {threshold:.2f}"
            ways = [f"--threshold {max(0.8 * highest, 0.01):.2f}"]
        else:
            why, ways = "where it scores high, others score higher", ["fewer prompts"]
        if prompt in {item.phrase for item in settings.objects if item.index is not None}:
            ways += ["another --index, or --otsu"]
        else:
            ways += ["other words, or synonyms after a comma", *(["other distractors"] if settings.distractors else [])]
            ways += ["a larger --short-side for small objects"]
        tell(f"Nothing was found for {prompt!r}: {why}. Try {'; '.join(ways)}.")


def warn_unknown(unknown: Mapping[str, Sequence[str]], unlearned: Sequence[str] = ()) -> None:
    """Flag the words that a model has never seen, and the phrases of which only another one has learned something."""
    for phrase, words in unknown.items():
        listed = ", ".join(repr(word) for word in words)
        tell(f"Warning: this model has never seen {listed}; the score of {phrase!r} goes by its other words.")
    for phrase in unlearned:
        tell(f"Warning: what {phrase!r} has learned was learned by another model; here its words alone count.")
