"""What can be done by key and from the command palette, and the help that lists it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_clearclip.gui.prompts import listing
from napari_clearclip.gui.prompts.table import STEP
from napari_clearclip.gui.teaching.pen import NEGATIVE, POSITIVE, SIMILAR

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_clearclip.gui.panel import Panel


@dataclass(frozen=True)
class Action:
    """Something to do.

    Attributes
    ----------
    name : str
        Of the command in the manifest, after the plugin's name.
    text : str
        What it does, for people.
    keys : str
        The shortcut as Qt writes it.
    """

    name: str
    text: str
    keys: str

    @property
    def shown_keys(self) -> str:
        """The shortcut as this system writes it."""
        return QKeySequence(self.keys).toString(QKeySequence.SequenceFormat.NativeText)

    @property
    def napari_keys(self) -> str:
        """The shortcut as napari's key bindings write it."""
        return self.keys.replace("Ctrl", "Control").replace("+", "-").replace("Return", "Enter").replace("Pg", "Page")


ACTIONS = {
    action.name: action
    for action in (
        Action("run", "Segment what is shown", "Ctrl+Return"),
        Action("cancel", "Cancel", "Ctrl+."),
        Action("next_prompt", "Go to the next prompt", "Ctrl+Shift+Down"),
        Action("previous_prompt", "Go to the previous prompt", "Ctrl+Shift+Up"),
        Action("raise_threshold", "Raise the prompt's threshold", "Ctrl+Shift+Right"),
        Action("lower_threshold", "Lower the prompt's threshold", "Ctrl+Shift+Left"),
        Action("toggle_masks", "Show or hide all masks", "Ctrl+Shift+M"),
        Action("toggle_heat_maps", "Show or hide the heat map", "Ctrl+Shift+H"),
        Action("teach", "Teach the prompt what it is, by strokes", "Ctrl+Shift+Y"),
        Action("teach_not", "Teach the prompt what it is not, by strokes", "Ctrl+Shift+N"),
        Action("find_similar", "Find what is similar to an example", "Ctrl+Shift+E"),
        Action("accept", "Accept the prompt's mask as a layer of its own", "Ctrl+Shift+Return"),
        Action("save_session", "Save the session", "Ctrl+Alt+S"),
        Action("save_session_as", "Save the session as another file", "Ctrl+Alt+Shift+S"),
        Action("open_session", "Open a session", "Ctrl+Alt+R"),
        Action("open_folder", "Open a folder of images", "Ctrl+Alt+O"),
        Action("next_image", "Go to the next image of the folder", "Ctrl+PgDown"),
        Action("previous_image", "Go to the previous image of the folder", "Ctrl+PgUp"),
        Action("next_open_image", "Go to the next image of the folder without a mark", "Ctrl+Shift+PgDown"),
        Action("mark_done", "Mark the image as done, or take the mark away", "Ctrl+Alt+1"),
        Action("mark_skip", "Mark the image to be skipped, or take the mark away", "Ctrl+Alt+2"),
        Action("mark_doubtful", "Mark the image as doubtful, or take the mark away", "Ctrl+Alt+3"),
        Action("list_images", "List the images of the folder and their marks", "Ctrl+Alt+L"),
        Action("help", "Show the shortcuts", "F1"),
    )
}
IN_THE_TABLE = (
    ("Enter", "Add the typed phrase; in the table: edit the phrase"),
    ("Space", "Show or hide the prompt"),
    ("Left, Right", "Move the threshold; with Shift in larger steps"),
    ("Alt+Up, Alt+Down", "Move the prompt up or down"),
    ("Ctrl+D", "Duplicate the prompt"),
    ("Ctrl+L", "Lock or unlock the prompt"),
    ("Delete", "Remove the prompt"),
)
IN_THE_OBJECTS = (
    ("Click", "Go to the object; click an object in the layer to find its row"),
    ("Delete", "Delete the chosen objects of an accepted layer"),
    ("Ctrl+M", "Make one object of the chosen ones"),
    ("Ctrl+Z", "Take back what was done to the layer"),
)
ON_THE_LAYERS = (
    ("Ctrl+Z, Ctrl+Shift+Z", "Undo and redo strokes, thresholds, prompts and runs"),
    ("2, 4, 3, 1", "napari's brush, fill, polygon and eraser, on a mask"),
)


def callbacks(panel: Panel) -> dict[str, Callable[[], Any]]:
    """What to call for each name of `ACTIONS`."""
    return {
        "run": panel.run,
        "cancel": panel.controller.cancel,
        "next_prompt": partial(_go, panel, 1),
        "previous_prompt": partial(_go, panel, -1),
        "raise_threshold": partial(_move_threshold, panel, STEP),
        "lower_threshold": partial(_move_threshold, panel, -STEP),
        "toggle_masks": partial(_toggle_masks, panel),
        "toggle_heat_maps": panel.results.toggle_heat_map,
        "teach": panel.prompts.teaching.buttons[POSITIVE].toggle,
        "teach_not": panel.prompts.teaching.buttons[NEGATIVE].toggle,
        "find_similar": panel.prompts.teaching.buttons[SIMILAR].toggle,
        "accept": partial(_accept, panel),
        "save_session": panel.sessions.save,
        "save_session_as": panel.sessions.save_as,
        "open_session": panel.sessions.ask,
        "open_folder": panel.walk.ask,
        "next_image": partial(panel.walk.step, 1),
        "previous_image": partial(panel.walk.step, -1),
        "next_open_image": panel.walk.go_to_open,
        "mark_done": partial(panel.walk.toggle, "done"),
        "mark_skip": partial(panel.walk.toggle, "skip"),
        "mark_doubtful": partial(panel.walk.toggle, "doubtful"),
        "list_images": panel.walk.list_images,
        "help": lambda: Help(panel).show(),
    }


def _go(panel: Panel, by: int) -> None:
    """Select the next prompt, round and round."""
    ids = [prompt.id for prompt in panel.controller.settings.objects]
    if ids:
        current = panel.prompts.table.current_id()
        at = ids.index(current) + by if current in ids else 0
        panel.prompts.table.select_prompt(ids[at % len(ids)])


def _move_threshold(panel: Panel, by: float) -> None:
    current = panel.prompts.table.current_id()
    for prompt in panel.prompts.shown.objects:
        if prompt.id == current:
            threshold = min(max(round(prompt.threshold + by, 2), 0.0), 1.0)
            panel.prompts.edited.emit(prompt.id, {"threshold": threshold})


def _toggle_masks(panel: Panel) -> None:
    """Hide all prompts, or show all if none is shown."""
    settings = panel.controller.settings
    shown = any(prompt.visible for prompt in settings.objects)
    ids = {prompt.id for prompt in settings.objects}
    panel.controller.update(listing.changed(settings, ids, visible=not shown))


def _accept(panel: Panel) -> None:
    if (current := panel.prompts.table.current_id()) is not None:
        panel.prompts.accept.emit(current)


def bind(viewer: ViewerModel, panel: QWidget, do: Mapping[str, Callable[[], Any]]) -> Callable[[], None]:
    """Bind every action's keys on the viewer and in the panel.

    Parameters
    ----------
    viewer : ViewerModel
        Whose canvas listens; a panel that floats is a window of its own and listens for itself.
    panel : QWidget
        The panel.
    do : mapping
        What to call for each name of `ACTIONS`.

    Returns
    -------
    callable
        Takes the bindings of the viewer back; once is enough, more does no harm.
    """
    before = {}
    for name, action in ACTIONS.items():
        shortcut = QShortcut(QKeySequence(action.keys), panel)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(do[name])
        before[action.napari_keys] = viewer.bind_key(action.napari_keys, _for_viewer(do[name]), overwrite=True)

    def unbind() -> None:
        while before:
            keys, function = before.popitem()
            viewer.bind_key(keys, function, overwrite=True)

    return unbind


def _for_viewer(function: Callable[[], Any]) -> Callable[[ViewerModel], None]:
    """What napari can bind to a key: a function with a name of its own, called with the viewer."""

    def call(_: ViewerModel) -> None:
        function()

    return call


class Help(QDialog):
    """The shortcuts, in a window that does not block."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("ClearCLIP shortcuts")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        grid = QGridLayout()
        grid.setHorizontalSpacing(24)
        parts = {
            "Anywhere": [(action.shown_keys, action.text) for action in ACTIONS.values()],
            "In the prompt table": IN_THE_TABLE,
            "In the table of objects": IN_THE_OBJECTS,
            "On the layers": ON_THE_LAYERS,
        }
        for heading, rows in parts.items():
            grid.addWidget(QLabel(f"<b>{heading}</b>"), grid.rowCount(), 0, 1, 2)
            for keys, text in rows:
                row = grid.rowCount()
                grid.addWidget(QLabel(keys), row, 0)
                grid.addWidget(QLabel(text), row, 1)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.close)
        column = QVBoxLayout(self)
        column.addLayout(grid)
        column.addWidget(buttons)
