"""Help, version, info, demo and selftest."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from napari_clearclip import __version__
from napari_clearclip.cli.console import follow, interruptible, meter
from napari_clearclip.cli.request import prompts_of
from napari_clearclip.cli.selftest import photographs, scenes
from napari_clearclip.io.images import read_image
from napari_clearclip.progress import Progress
from napari_clearclip.scenes import KINDS


def command(*arguments):
    return [sys.executable, "-m", "napari_clearclip", *map(str, arguments)]


@pytest.mark.parametrize("arguments", [["--help"], ["segment", "--help"], ["demo", "-h"], ["--version"]], ids=str)
def test_help_is_instant_and_loads_nothing_heavy(arguments):
    code = (
        "import sys; sys.argv = ['napari-clearclip', *sys.argv[1:]]\n"
        "from napari_clearclip.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "heavy = {'torch', 'napari', 'skimage', 'tifffile', 'open_clip', 'numpy', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_a_missing_library_is_told_in_a_sentence(run, monkeypatch):
    def lack(*_):
        raise ImportError('this needs more: pip install "napari-clearclip[more]"')

    monkeypatch.setattr("napari_clearclip.cli.info.show_info", lack)
    assert run("info", code=1).stderr == 'Error: this needs more: pip install "napari-clearclip[more]"\n'


def test_version(run):
    assert run("--version").stdout.strip() == f"napari-clearclip {__version__}"


def test_help_names_the_commands_and_exit_codes(run):
    output = run("--help").output
    for word in ("segment", "demo", "info", "selftest", "Exit codes: 0 done"):
        assert word in output


def test_info(run, bundled):
    output = run("info").stdout
    for word in (
        f"napari-clearclip: {__version__}",
        "torch: ",
        "device: ",
        "cache of text vectors: ",
        "features of large images: ",
        "model demo: bundled",
    ):
        assert word in output


def test_features_are_cleared(run, bundled, tmp_path):
    folder = tmp_path / "cache/napari-clearclip/features/image"
    folder.mkdir(parents=True)
    (folder / "key.features").write_bytes(bytes(3_000_000))
    assert "(1 files, 3.0 MB); `info --clear` removes them" in run("info").stdout
    assert "(empty)" in run("info", "--clear").stdout
    assert not folder.exists()


def test_info_of_a_broken_installation(run, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_clearclip.domains.demo_folder", lambda: tmp_path / "nothing")
    result = run("info")
    assert "model demo: missing" in result.stdout
    assert "install napari-clearclip again" in result.stderr


def test_demo_writes_files_and_measures(run, bundled, monkeypatch):
    monkeypatch.setattr("napari_clearclip.cli.demo._MEASURED", range(2))
    result = run("demo", "--out", "out")
    lines = result.stdout.splitlines()
    for name in ("clearclip_miou", "vanilla_miou"):
        (line,) = [line for line in lines if line.startswith(f"{name}: ")]
        assert 0 < float(line.split()[1]) < 0.9
    for kind in KINDS:
        assert read_image(Path(f"out/{kind}.png")).data.shape == (192, 192, 3)
        for ending in ("labels.tif", "overlay.png", "settings.json"):
            assert Path(f"out/{kind}_clearclip_{ending}").exists()


def test_demo_goes_to_a_folder_of_its_own(run, bundled, monkeypatch):
    monkeypatch.setattr("napari_clearclip.cli.demo._MEASURED", range(1))
    run("demo")
    assert [path.name for path in Path().iterdir()] == ["clearclip_demo"]


@pytest.mark.parametrize("model", ["demo", "file"])
def test_selftest_fails_a_model_with_random_weights(run, bundled, tiny, model):
    result = run("selftest", "--model", tiny if model == "file" else "demo", code=1)
    kind = "scenes" if model == "demo" else "photographs"
    assert f"fail ({result.stdout.count(' right ')} of {60 if model == 'demo' else 8} {kind})" in result.stdout
    assert result.stderr


def test_selftest_passes_a_model_that_sees(run, tiny, monkeypatch):
    monkeypatch.setattr("napari_clearclip.cli.selftest.best_phrase", lambda clip, case, vectors: (case.truth, 1.0))
    assert "pass (8 of 8 photographs)" in run("selftest", "--model", tiny).stdout


def test_selftest_compares_with_open_clips_own_vectors(clips):
    import torch

    from napari_clearclip.cli.selftest import _fitted, _vectors, best_phrase

    clip, model, _ = clips["patch8"]
    cases = photographs()[:3]
    vectors = _vectors(clip, cases)
    for case in cases:
        pixels = torch.from_numpy(_fitted(case.image, clip))
        assert pixels.shape == (32, 32, 3)
        normal = ((pixels - torch.tensor(clip.mean)) / torch.tensor(clip.std)).permute(2, 0, 1)[None]
        with torch.no_grad():
            vector = model.encode_image(normal, normalize=True)[0]
        cosines = {phrase: float(vectors[phrase] @ vector) for phrase in (case.truth, *case.others)}
        assert best_phrase(clip, case, vectors)[0] == max(cosines, key=cosines.get)


def test_cases_of_the_selftest_are_sound():
    assert len(photographs()) == 8
    for case in (*photographs(), *scenes()):
        assert case.image.ndim == 3
        assert case.image.dtype == np.uint8
        assert case.truth not in case.others
        assert len(case.others) >= 2


def test_selftest_of_a_missing_file_is_wrong_usage(run):
    assert "does not exist" in run("selftest", "--model", "a.pt", code=2).stderr


def test_many_prompts_have_many_colours():
    colors = [prompt.color for prompt in prompts_of([f"p{index}" for index in range(100)])]
    assert len(set(colors)) > 95


@pytest.mark.skipif(os.name == "nt", reason="signals of a terminal are a matter of Unix")
def test_ctrl_c_ends_a_run_with_130_and_nothing_half_written(photo, tiny, tmp_path):
    prompts = [word for index in range(90) for word in ("-p", f"word {index}")]
    process = subprocess.Popen(
        command("segment", photo, *prompts, "--model", tiny, "--short-side", 4000, "-o", "out"),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not Path("out").exists() and time.monotonic() < deadline:
        if process.poll() is not None:
            break
        Path("out").exists()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert list(Path("out").iterdir()) == []


def test_ctrl_c_is_not_lost_where_a_library_swallows_it():
    def steps():
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        yield Progress("Reading")
        raise AssertionError("it went on")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interruptible(), meter() as bar:
        follow(bar, "photo", steps())
    assert signal.getsignal(signal.SIGINT) is before
