"""What can be done with a row of the prompt table, as a menu."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QMenu

from napari_clearclip.settings import Prompt

if TYPE_CHECKING:
    from napari_clearclip.gui.prompts.view import PromptView


def menu_for(view: PromptView, prompt: Prompt) -> QMenu:
    """The menu of a prompt in its table; keys that do the same stand beside the words."""
    menu = QMenu(view)
    menu.setToolTipsVisible(True)
    is_object = prompt.kind == "object"
    several = len(view.selected_ids())
    other = "distractor" if is_object else "object"
    entries = [
        ("Rename", "F2", "", view.rename, True),
        ("Change colour…", "", "", view.choose_color, is_object),
        ("Duplicate", "Ctrl+D", "A copy below, for other words", view.copy_current, True),
        (
            "Make a distractor" if is_object else "Make a prompt",
            "",
            "It only competes then, and gets no mask" if is_object else "It gets a mask of its own then",
            lambda: view.kind_changed.emit(prompt.id, other),
            prompt.index is None,
        ),
        ("", "", "", None, True),
        (
            "Unlock" if prompt.locked else "Lock",
            "Ctrl+L",
            "A locked mask stays as it is whatever the model says",
            view.toggle_lock,
            is_object,
        ),
        (
            "Automatic threshold",
            "",
            "Between low and high scores of the image (Otsu's method)",
            lambda: view.automatic.emit(view.selected_ids()),
            is_object and not prompt.locked and prompt.fixed_threshold is not None,
        ),
        (
            "Keep this threshold" if prompt.fixed_threshold is None else "Threshold by Otsu for each image",
            "",
            "Otherwise each image sets its own, between its low and high values",
            view.toggle_otsu,
            prompt.index is not None and not prompt.locked,
        ),
        ("", "", "", None, is_object),
        (
            "Clear my edits",
            "",
            "Take back what was painted for this prompt",
            lambda: view.clear_edits.emit(prompt.id),
            is_object,
        ),
        (
            "Accept as layer",
            "",
            "Copy the mask as it stands into a plain Labels layer, then lock and hide the prompt",
            lambda: view.accept.emit(prompt.id),
            is_object,
        ),
        (
            "Accept as objects",
            "",
            "The same with an id for each object, as chosen under Objects; there they can be merged, cut and deleted",
            lambda: view.accept_objects.emit(prompt.id),
            is_object,
        ),
        ("", "", "", None, True),
        ("Delete" if several < 2 else f"Delete {several}", "Del", "", view.remove_selected, True),
    ]
    for text, key, tip, act, offered in entries:
        if not offered:
            continue
        if act is None:
            menu.addSeparator()
            continue
        native = QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)
        action = menu.addAction(f"{text}\t{native}" if key else text)  # shown only: the table has the keys
        action.setToolTip(tip or text)
        action.triggered.connect(lambda _=False, act=act: act())
    return menu
