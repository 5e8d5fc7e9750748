"""Images on workers are measured as one after the other, also if a worker is killed, and what is done stays done."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from distributed import Client, LocalCluster

from napari_clearclip.engine.projections import register_projection
from napari_clearclip.evaluate.blocks import curves_over
from napari_clearclip.evaluate.cluster import Workers
from napari_clearclip.evaluate.evaluation import Record, Sample, evaluate_steps
from napari_clearclip.evaluate.methods import Method, method_of
from napari_clearclip.evaluate.recipes import Recipe
from napari_clearclip.evaluate.sources import source_of
from napari_clearclip.looking import looking_steps
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Attention, Runtime, Settings
from napari_clearclip.steps import drain

COUNT = 6


def test_workers_measure_what_one_process_does(tmp_path: Path) -> None:
    runtime = Runtime(device="cpu", threads=1, cache_folder=str(tmp_path / "cache"))
    samples = source_of("scenes-aerial", None, Settings(), Recipe(), limit=COUNT).samples
    width = width_of(samples[0], runtime)
    matrix = torch.randn(width, width, generator=torch.Generator().manual_seed(0))
    learned = Attention(terms=("random",), projection=register_projection(matrix))
    methods = [method_of("clearclip"), method_of("clip_diy"), Method("learned", learned)]
    alone = drain(evaluate_steps(Pipeline(runtime), samples, methods, Record(tmp_path / "alone.jsonl"), outlines=False))
    path, told = tmp_path / "many.jsonl", []
    drain(evaluate_steps(Pipeline(runtime), samples[:1], methods, Record(path), outlines=False))
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        workers = Workers(client, runtime)
        steps = workers.measure(samples, methods, Record(path), outlines=False)
        while True:
            try:
                told.append(next(steps).done)
            except StopIteration as stop:
                found = stop.value
                break
            if len(told) == 2:
                os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        curves = drain(workers.curves(samples[:2]))
    assert found == alone
    for one, other in zip(curves, drain(curves_over(Pipeline(runtime), samples[:2])), strict=True):
        for quantity in ("entropy", "maximum"):
            for part, values in getattr(one, quantity).items():
                np.testing.assert_array_equal(values, getattr(other, quantity)[part])
    assert told == list(range(1, COUNT + 1))  # one was known
    assert len(path.read_text().splitlines()) == COUNT * len(methods)
    assert Record(path).of(samples, methods, False) == alone


def width_of(sample: Sample, runtime: Runtime) -> int:
    """How many channels the model's tokens have."""
    case = sample.load()
    looking = drain(looking_steps(Pipeline(runtime), case.image, case.settings, case.view))
    return looking.job.clip.tower.channels


def test_an_error_of_a_worker_is_told(tmp_path: Path) -> None:
    runtime = Runtime(device="cpu", threads=1, cache_folder=str(tmp_path / "cache"))
    samples = source_of("scenes-aerial", None, Settings(), Recipe(), limit=1).samples
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, processes=False) as cluster,
        Client(cluster) as client,
        pytest.raises(ValueError, match="reads the last 8 blocks, and the model has 6"),
    ):
        drain(Workers(client, runtime).measure(samples, [method_of("sc_clip")], Record(tmp_path / "r.jsonl")))
