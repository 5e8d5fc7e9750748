"""What new panels start with: the plugin's page in napari's preferences."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_clearclip.domains import as_prompts, distractors_for
from napari_clearclip.gui.models.choices import is_file
from napari_clearclip.settings import Comparing, Model, Runtime, Settings

PLUGIN = "napari-clearclip"
_GB = 10**9


@dataclass(frozen=True)
class Preferences:
    """What a new panel starts with.

    Attributes
    ----------
    model, comparing : Model, Comparing
        Of the settings.
    runtime : Runtime
        Device, CPU cores, memory and disk.
    offer_models : bool
        Whether a model is offered while only the demo is at hand.
    problem : str
        What is wrong with the model, for which the demo is taken then.
    """

    model: Model = field(default_factory=Model)
    comparing: Comparing = field(default_factory=Comparing)
    runtime: Runtime = field(default_factory=Runtime)
    offer_models: bool = True
    problem: str = ""

    @property
    def settings(self) -> Settings:
        """Settings with these preferences and the model's distractors."""
        prompts = as_prompts(distractors_for(self.model))
        return Settings(model=self.model, comparing=self.comparing, prompts=prompts)


def read_preferences() -> Preferences:
    """The preferences as they stand; napari itself tells of values outside their range and takes the defaults."""
    page = _page()
    if page is None:
        return Preferences()
    model, problem = _model(page.model)
    runtime = Runtime(
        device=page.device,
        threads=page.threads or None,
        cache_bytes=page.cache_megabytes * 2**20,
        store_bytes=round(page.disk_gigabytes * _GB),
    )
    templates = None if page.templates == "recommended" else page.templates
    return Preferences(model, Comparing(templates=templates), runtime, page.offer_models, problem)


def stop_offering_models() -> None:
    """Do not offer a model again."""
    page = _page()
    if page is not None:
        page.offer_models = False


def keep_disk(most: int) -> None:
    """Let new panels keep so many bytes of large images on disk."""
    page = _page()
    if page is not None:
        page.disk_gigabytes = most / _GB


def _page() -> Any:
    """Values of the page; None where napari is older than such pages or does not know the plugin."""
    try:
        from napari.settings import get_plugin_settings

        return get_plugin_settings(PLUGIN).start
    except (ImportError, KeyError):
        return None


def _model(text: str) -> tuple[Model, str]:
    """The model that a text names, else the demo and what is wrong."""
    try:
        model = Model.parse(text)
    except ValueError:
        return Model(), "The preferences name no model, so the demo is used. See File > Preferences > ClearCLIP."
    if is_file(model):
        path = Path(model.pretrained).expanduser()
        if not path.is_file():
            return Model(), f"There is no file {path}, which the preferences name as model, so the demo is used."
        model = model.replace(pretrained=str(path))
    return model, ""
