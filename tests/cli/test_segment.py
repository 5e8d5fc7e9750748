"""``segment`` writes what it promises, again if asked again, and says in one sentence what is wrong."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile

from napari_clearclip.edits import View
from napari_clearclip.io.formats import read
from napari_clearclip.io.raster import read_labels
from napari_clearclip.io.settings_file import read_settings
from napari_clearclip.pipeline import Pipeline

WORDS = ("--prompt", "tree, bush", "--prompt", "Straße", "--templates", "a {}", "--distractor", "sky")


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def test_what_is_written(run, photo, tiny):
    result = run("segment", photo, *WORDS, "--model", tiny, "--out", "out")
    assert sorted(contents("out")) == [
        f"photo_clearclip_{ending}"
        for ending in (
            "labels.tif",
            "overlay.png",
            "settings.json",
            "strasse_mask.png",
            "strasse_similarity.tif",
            "tree_mask.png",
            "tree_similarity.tif",
        )
    ]
    labels, names = read_labels(Path("out/photo_clearclip_labels.tif"))
    assert names == ("tree", "Straße")
    assert labels.shape == (60, 84)
    for index, name in enumerate(("tree", "strasse")):
        mask = imageio.imread(f"out/photo_clearclip_{name}_mask.png")
        np.testing.assert_array_equal(mask, (labels == index + 1) * 255)
        similarity = tifffile.imread(f"out/photo_clearclip_{name}_similarity.tif")
        assert (similarity.shape, similarity.dtype) == (labels.shape, np.float32)
        assert 0 <= similarity.min() < similarity.max() <= 1
        assert f"{100 * np.mean(labels == index + 1):.1f} %" in result.output
    for text in ("tree, bush", "Straße", "coverage", "highest score"):
        assert text in result.output


def test_files_hold_what_the_pipeline_gives(run, photo, tiny):
    run("segment", photo, *WORDS, "--model", tiny)
    kept = read_settings(Path("photo_clearclip_settings.json"))
    result = Pipeline().run(imageio.imread(photo), kept.settings, kept.view)
    np.testing.assert_array_equal(result.labels, read_labels(Path("photo_clearclip_labels.tif"))[0])
    assert kept.settings.tiling.short_side == 96  # what the model recommends is filled in
    assert kept.view == View(channel_axis=2, channels=(0, 1, 2), limits=((0, 255),) * 3, bands=("red", "green", "blue"))


def test_similarity_is_bilinear_between_cell_centres(run, photo, tiny):
    run("segment", photo, *WORDS, "--model", tiny)
    kept = read_settings(Path("photo_clearclip_settings.json"))
    scores = Pipeline().run(imageio.imread(photo), kept.settings, kept.view).scores
    found = tifffile.imread("photo_clearclip_tree_similarity.tif")
    values = scores.of("prompt-1")
    for row, col in [(0, 0), (59, 83), (31, 40), (7, 77), (20, 3)]:
        y = min(max((row + 0.5) / scores.cell[0] - 0.5, 0), values.shape[0] - 1)
        x = min(max((col + 0.5) / scores.cell[1] - 0.5, 0), values.shape[1] - 1)
        top, left = min(int(y), values.shape[0] - 2), min(int(x), values.shape[1] - 2)
        square = values[top : top + 2, left : left + 2]
        weights = np.outer([1 - (y - top), y - top], [1 - (x - left), x - left])
        assert found[row, col] == pytest.approx((square * weights).sum(), abs=1e-6)


@pytest.mark.parametrize("kind", ["photo", "uint16 stack", "float with channels first"])
def test_settings_make_the_same_again(run, photo, tiny, folder, kind):
    rng = np.random.default_rng(0)
    image = photo
    if kind != "photo":
        image = folder / "image.tif"
        data = rng.normal(300, 90, (4, 60, 84)).clip(0).astype(np.uint16 if "stack" in kind else np.float32)
        options = {"photometric": "minisblack"} if "stack" in kind else {"imagej": True, "metadata": {"axes": "CYX"}}
        tifffile.imwrite(image, data, **options)
    run(
        "segment",
        image,
        *WORDS,
        "--model",
        tiny,
        "--variant",
        "naclip",
        "--threshold",
        0.4,
        "--short-side",
        64,
        "-o",
        "a",
    )
    run("segment", image, "--settings", f"a/{image.stem}_clearclip_settings.json", "--out", "b")
    assert contents("a") == contents("b")


def test_every_plane_of_a_stack(run, tiny, folder):
    data = np.random.default_rng(0).integers(0, 4000, (3, 2, 30, 40)).astype(np.uint16)
    data[1, 1] = 7
    tifffile.imwrite(folder / "stack.tif", data, imagej=True, metadata={"axes": "TZYX"})
    run("segment", "stack.tif", *WORDS, "--model", tiny)
    labels, _ = read_labels(Path("stack_clearclip_labels.tif"))
    assert labels.shape == data.shape
    kept = read_settings(Path("stack_clearclip_settings.json"))
    assert kept.view.plane == ()
    assert kept.view.limits[0][1] > 3900  # of the whole stack
    for plane in [(0, 0), (1, 1), (2, 1)]:
        alone = Pipeline().run(data, kept.settings, kept.view.replace(plane=plane))
        np.testing.assert_array_equal(labels[plane], alone.labels)
    assert tifffile.imread("stack_clearclip_tree_mask.tif").shape == data.shape
    assert tifffile.imread("stack_clearclip_tree_similarity.tif").shape == data.shape


def test_a_settings_file_may_name_one_plane(run, tiny, folder):
    tifffile.imwrite(folder / "stack.tif", np.random.default_rng(0).random((3, 30, 40), np.float32))
    Path("one.json").write_text('{"view": {"plane": [2]}}')
    run("segment", "stack.tif", *WORDS, "--model", tiny, "--settings", "one.json")
    assert read_labels(Path("stack_clearclip_labels.tif"))[0].shape == (30, 40)
    assert read_settings(Path("stack_clearclip_settings.json")).view.plane == (2,)


def test_masks_that_overlap_are_written_as_they_are(run, photo, tiny):
    Path("both.json").write_text('{"settings": {"deciding": {"exclusive": false}}}')
    run("segment", photo, *WORDS, "--model", tiny, "--settings", "both.json", "--threshold", 0.01)
    kept = read_settings(Path("photo_clearclip_settings.json"))
    result = Pipeline().run(imageio.imread(photo), kept.settings, kept.view)
    masks = [imageio.imread(f"photo_clearclip_{name}_mask.png") for name in ("tree", "strasse")]
    assert ((masks[0] > 0) & (masks[1] > 0)).any()
    for index, mask in enumerate(masks):
        np.testing.assert_array_equal(mask > 0, result.mask(f"prompt-{index + 1}"))


def test_flags_go_before_the_settings_file(run, photo, tiny):
    run("segment", photo, *WORDS, "--model", tiny, "-o", "a")
    settings = ("--settings", "a/photo_clearclip_settings.json")
    run("segment", photo, *settings, "-p", "road", "--threshold", 0.7, "--variant", "vanilla", "-o", "b")
    new, old = (read_settings(Path(f"{name}/photo_clearclip_settings.json")).settings for name in "ba")
    assert [(prompt.phrase, prompt.threshold) for prompt in new.objects] == [("road", 0.7)]
    assert new.attention.ffn == 1
    assert new.distractors == old.distractors
    assert new.comparing == old.comparing
    assert (new.model, new.tiling) == (old.model, old.tiling)


def test_another_model_brings_its_own_tiling(run, photo, tiny, clips, save_model, architectures):
    other = save_model("other", architectures["patch16"], clips["patch16"][2])
    run("segment", photo, *WORDS, "--model", tiny, "-o", "a")
    run(
        "segment",
        photo,
        "--settings",
        "a/photo_clearclip_settings.json",
        "--model",
        other,
        "--templates",
        "a {}",
        "-o",
        "b",
    )
    tiling = read_settings(Path("b/photo_clearclip_settings.json")).settings.tiling
    assert (tiling.short_side, tiling.window) == (192, 64)


def test_distractors_by_default_none_or_given(run, photo, tiny):
    found = {}
    for name, flags in {
        "default": [],
        "none": ["--no-distractors"],
        "own": ["--distractor", "a b", "--distractor", "a  b"],
    }.items():
        run("segment", photo, "-p", "tree", "--templates", "{}", "--model", tiny, *flags, "-o", name)
        settings = read_settings(Path(f"{name}/photo_clearclip_settings.json")).settings
        found[name] = [prompt.phrase for prompt in settings.prompts if prompt.kind == "distractor"]
    assert "building" in found["default"]
    assert found["none"] == []
    assert found["own"] == ["a b"]


def test_one_prompt_without_distractors_is_everywhere(run, photo, tiny):
    result = run("segment", photo, "-p", "tree", "--templates", "{}", "--model", tiny, "--no-distractors")
    assert "100.0 %" in result.output


def test_an_empty_result_says_what_to_try(run, photo, tiny):
    result = run("segment", photo, *WORDS, "--model", tiny, "--threshold", 1)
    assert "Nothing was found for 'tree, bush': its highest score is 0." in result.stderr
    assert "Try --threshold 0." in result.stderr
    assert read_labels(Path("photo_clearclip_labels.tif"))[0].max() == 0


def test_pixels_without_data_stay_empty(run, tiny, folder):
    image = np.random.default_rng(0).integers(1, 200, (60, 84, 3)).astype(np.uint8)
    image[:, :30] = 0
    tifffile.imwrite(folder / "a.tif", image, photometric="rgb", extratags=[(42113, "s", 0, "0", True)])
    run("segment", "a.tif", "-p", "tree", "--no-distractors", "--templates", "{}", "--model", tiny)
    labels, _ = read_labels(Path("a_clearclip_labels.tif"))
    assert (labels[:, :30] == 0).all()
    assert (labels[:, 30:] == 1).all()
    assert (tifffile.imread("a_clearclip_tree_similarity.tif")[:, :30] == 0).all()


def test_prompts_with_one_slug_have_two_files(run, photo, tiny):
    run("segment", photo, "-p", "car!", "-p", "car?", "-p", "🌲", "-p", "car/2", "--templates", "{}", "--model", tiny)
    names = {path.name.removeprefix("photo_clearclip_") for path in Path().glob("*_mask.png")}
    assert names == {"car_mask.png", "car-2_mask.png", "prompt_mask.png", "car-2-2_mask.png"}


def test_images_of_one_name_do_not_overwrite_each_other(run, photo, tiny):
    for place in ("north", "south"):
        Path(place).mkdir()
        shutil.copy(photo, f"{place}/photo.png")
    result = run("segment", "north/photo.png", "south/photo.png", photo, photo, *WORDS, "--model", tiny, "-o", "out")
    names = sorted(path.name for path in Path("out").glob("*_labels.tif"))
    assert names == [f"{place}_photo_clearclip_labels.tif" for place in ("here", "north", "south")]
    assert "begin with north_photo" in result.stderr


def test_results_of_an_earlier_run_are_no_images(run, photo, tiny):
    run("segment", photo, *WORDS, "--model", tiny)
    before = contents(".")
    result = run("segment", *Path().glob("*.png"), *WORDS, "--model", tiny)
    assert "Left out 3 results of an earlier run" in result.stderr
    assert contents(".") == before


@pytest.mark.parametrize("bad", ["missing.png", "damaged.png", "empty.tif", "."])
def test_a_bad_image_fails_alone(run, photo, tiny, bad):
    Path("damaged.png").write_bytes(photo.read_bytes()[:300])
    Path("empty.tif").touch()
    result = run("segment", bad, photo, *WORDS, "--model", tiny, "-o", "out", code=1)
    assert result.stderr.count("Error: ") == 1
    assert bad in result.stderr
    assert "1 of 2 images failed" in result.stderr
    assert Path("out/photo_clearclip_labels.tif").exists()


def test_a_view_that_does_not_fit_fails_alone(run, photo, tiny, folder):
    tifffile.imwrite(folder / "grey.tif", np.zeros((30, 40), np.uint8))
    run("segment", photo, *WORDS, "--model", tiny, "-o", "a")
    result = run("segment", "grey.tif", photo, "--settings", "a/photo_clearclip_settings.json", "-o", "b", code=1)
    assert "Error: grey.tif: an image of shape (30, 40)" in result.stderr
    assert Path("b/photo_clearclip_labels.tif").exists()


def test_a_library_that_is_missing_is_named(run, photo, tiny, monkeypatch):
    Path("guided.json").write_text(json.dumps({"settings": {"refining": {"guided": 2}}}))
    flags = ("--settings", "guided.json", "--model", tiny)
    run("segment", photo, *WORDS, *flags)
    monkeypatch.setitem(sys.modules, "kornia.filters", None)
    result = run("segment", photo, *WORDS, *flags, code=1)
    assert 'Error: photo.png: the guided filter needs kornia: pip install "napari-clearclip[guided]"' in result.stderr


USAGE = {
    "no prompt": ([], "there is nothing to look for; give at least one --prompt"),
    "empty prompt": (["-p", " "], "a phrase is empty"),
    "prompt twice": (["-p", "a", "-p", "A"], "the phrase 'A' is given twice"),
    "variant": (["-p", "a", "--variant", "clear"], "unknown variant 'clear'; known are clearclip, sclip"),
    "architecture": (["-p", "a", "--model", "ViT-B-17/openai"], "open_clip knows no architecture 'ViT-B-17'"),
    "tag": (["-p", "a", "--model", "ViT-B-16/opnai"], "ViT-B-16 has no weights 'opnai'; published are openai"),
    "tower": (
        ["-p", "a", "--model", "convnext_base/laion400m_s13b_b51k"],
        "is not supported: its image tower is no vision",
    ),
    "file": (["-p", "a", "--model", "a/b.pt"], "the weights file a/b.pt does not exist"),
    "no weights": (["-p", "a", "--model", "photo.png"], "photo.png is no weights file; give a .safetensors"),
    "folder": (["-p", "a", "--model", "."], ". is no weights file"),
    "no model": (["-p", "a", "--model", " "], "model is empty"),
    "device": (["-p", "a", "--device", "tpu"], "device is 'tpu'"),
    "no gpu": (["-p", "a", "--device", "cuda:99"], "device 'cuda:99'"),
    "threshold": (["-p", "a", "--threshold", "1.5"], "threshold is 1.5; it should be less than or equal to 1"),
    "templates": (["-p", "a", "--templates", "imagnet"], "unknown templates 'imagnet'; known are imagenet, single"),
    "short side": (["-p", "a", "--short-side", "big"], "--short-side is 'big'; give a number of pixels, or native"),
    "short side of 1": (["-p", "a", "--short-side", "1"], "short_side is 1; it must be from 8 to 65536"),
    "distractors": (["-p", "a", "--distractor", "b", "--no-distractors"], "exclude each other"),
    "settings": (["-p", "a", "--settings", "no.json"], "the settings file no.json does not exist"),
    "many": ([word for i in range(251) for word in ("-p", f"p{i}")], "251 prompts; at most 250"),
}


@pytest.mark.parametrize(("flags", "message"), USAGE.values(), ids=USAGE.keys())
def test_wrong_usage(run, photo, tiny, flags, message):
    model = [] if "--model" in flags else ["--model", tiny]
    result = run("segment", photo, *flags, *model, code=2)
    assert message in " ".join(result.stderr.split())
    assert len(result.stderr.strip().splitlines()) == 1
    assert [path.name for path in Path().iterdir()] == ["photo.png"]


@pytest.mark.parametrize("flags", [["segment"], ["segment", "--no-such"], ["nonsense"]], ids=str)
def test_usage_that_typer_finds(run, flags):
    run(*flags, code=2)


def test_damaged_weights_are_told_once(run, photo, tiny, folder):
    shutil.copy(tiny.with_suffix(".json"), folder / "bad.json")
    Path("bad.safetensors").write_bytes(tiny.read_bytes()[:5000])
    shutil.copy(photo, "second.png")
    result = run("segment", photo, "second.png", *WORDS, "--model", "bad.safetensors", code=1)
    assert result.stderr.count("Error: ") == 1
    assert "bad.safetensors" in result.stderr


def test_a_file_in_the_place_of_the_folder(run, photo, tiny):
    result = run("segment", photo, *WORDS, "--model", tiny, "--out", photo, code=1)
    assert "cannot write to the folder photo.png (File exists); choose another with --out" in result.stderr


def test_so_many_cores_are_computed_with(run, photo, tiny):
    import torch

    from napari_clearclip.engine.device import use_threads, usual_threads

    wanted = usual_threads() + 1
    run("segment", photo, *WORDS, "--model", tiny, "--threads", wanted)
    assert torch.get_num_threads() == wanted
    use_threads(None)
    result = run("segment", photo, *WORDS, "--model", tiny, "--threads", 0, code=2)
    assert "threads" in result.stderr


def test_without_a_model_the_demo_is_used_with_a_warning(run, photo, bundled):
    result = run("segment", photo, "-p", "red circle", "-p", "red unicorn")
    assert "no published model is on this machine, so the bundled demo is used" in " ".join(result.stderr.split())
    assert "this model has never seen 'unicorn'; the score of 'red unicorn' goes by its other words" in result.stderr
    assert "Warning" not in result.stdout
    settings = json.loads(Path("photo_clearclip_settings.json").read_text())["settings"]
    assert settings["model"]["name"] == "demo"
    assert [prompt["phrase"] for prompt in settings["prompts"]] == ["red circle", "red unicorn", "plain background"]


def test_a_phrase_of_unknown_words_is_refused(run, photo, bundled):
    result = run("segment", photo, "-p", "unicorn", "--model", "demo", code=2)
    assert "this model knows no word of 'unicorn'" in result.stderr


def test_a_model_whose_words_need_a_library_is_refused_before_anything_is_done(run, photo, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    result = run("segment", photo, "-p", "cat", "--model", "ViT-B-16-SigLIP/webli", code=2)
    assert 'pip install "napari-clearclip[words]"' in result.stderr
    assert list(Path().iterdir()) == [photo]


def test_a_cached_model_goes_before_the_demo(run, photo, tiny, monkeypatch):
    from napari_clearclip.settings import Model

    cached = Model(name="", pretrained=str(tiny))
    monkeypatch.setattr("napari_clearclip.engine.model.cached_models", lambda: (cached,))
    result = run("segment", photo, *WORDS)
    assert f"Model: {tiny}" in "".join(result.stderr.split("\n"))
    assert read_settings(Path("photo_clearclip_settings.json")).settings.model == cached


def test_stopping_leaves_whole_files_only(run, photo, tiny, monkeypatch):
    from napari_clearclip.batch import results

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(results, "write_overlay", stop)
    result = run("segment", photo, *WORDS, "--model", tiny, "-o", "out", code=130)
    assert "Stopped." in result.stderr
    assert read_labels(Path("out/photo_clearclip_labels.tif"))[0].shape == (60, 84)
    assert not [path for path in Path("out").iterdir() if path.suffix == ".part"]


def test_real_images(run, test_data, tiny):
    files = [test_data / name for name in ("geo/RGB.byte.tif", "geo/RGBA.uint16.tif", "microscopy/nuclei_3d.tif")]
    run("segment", *files, *WORDS, "--model", tiny)
    for file, shape in zip(files, [(718, 791), (411, 634), (31, 61, 57)], strict=True):
        assert read_labels(Path(f"{file.stem}_clearclip_labels.tif"))[0].shape == shape


def test_the_street_model_on_photographs(run, test_data):
    from napari_clearclip.evaluate.metrics import confusion_matrix, mean_iou

    weights = test_data.parent / "models/street/street.safetensors"
    if not weights.exists():
        pytest.skip("the street model does not lie beside the folder of real images")
    names = ("sky", "building", "road", "tree")
    classes = np.zeros(256, int)
    classes[[0, 1, 3, 5]] = [1, 2, 3, 4]
    classes[11] = 255
    images = sorted((test_data / "camvid/images").glob("*.png"))[::4]
    values = {}
    for variant in ("clearclip", "vanilla"):
        flags = [word for name in names for word in ("-p", name)]
        run(
            "segment", *images, *flags, "--model", weights, "--templates", "single", "--variant", variant, "-o", variant
        )
        confusions = [
            confusion_matrix(
                classes[imageio.imread(test_data / "camvid/labels" / image.name)],
                read_labels(Path(f"{variant}/{image.stem}_clearclip_labels.tif"))[0],
                5,
                ignore=255,
            )
            for image in images
        ]
        values[variant] = mean_iou(np.sum(confusions, axis=0), exclude=(0,))
    assert values["clearclip"] > 1.2 * values["vanilla"]
    assert values["clearclip"] > 0.35


def test_formats_of_other_programs(run, photo, tiny, folder):
    """Each image's own files beside the usual ones, and one COCO file for both images."""
    shutil.copy(photo, "other.png")
    flags = ["-p", "cat", "-p", "dog", "--model", tiny, "--threshold", "0", "-o", folder / "out"]
    formats = ["--format", "coco", "--format", "npz", "--format", "png", "--leave-out", "holes"]
    run("segment", photo, folder / "other.png", *flags, *formats)
    together = read(folder / "out/clearclip_coco.json")
    assert [masks.image for masks in together] == [photo.name, "other.png"]
    for masks in together:
        stem = f"{Path(masks.image).stem}_clearclip"
        labels = tifffile.imread(folder / f"out/{stem}_labels.tif")
        np.testing.assert_array_equal(masks.labels, labels)
        for ending in ("masks.npz", "labels.png"):
            (alone,) = read(folder / f"out/{stem}_{ending}")
            np.testing.assert_array_equal(alone.labels, labels)


def test_a_format_that_cannot_hold_the_masks_fails_that_image_alone(run, tiny, folder):
    stack = folder / "stack.tif"
    tifffile.imwrite(stack, np.zeros((2, 32, 32), np.uint8), metadata={"axes": "ZYX"})
    result = run("segment", stack, "-p", "cat", "--model", tiny, "-o", folder, "--format", "png", code=1)
    assert "Indexed PNG cannot hold the planes of a stack; use tiff or " in " ".join(result.stderr.split())


@pytest.mark.parametrize("flags", [["--format", "gif"], ["--leave-out", "colours"]])
def test_formats_that_are_not_known(run, photo, tiny, flags):
    result = run("segment", photo, "-p", "cat", "--model", tiny, *flags, code=2)
    assert f"{flags[0]} {flags[1]} is not known; there are " in " ".join(result.stderr.split())
