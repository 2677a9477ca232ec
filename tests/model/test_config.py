"""`config.yaml`: the values that are read, and errors that give the full name of the key."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from model.config import _FIXED, _FIXED_WHEN_GIVEN, ImageEncoderConfig, ModelConfig, TextEncoderConfig, read_config
from model.errors import ConfigError
from tests.parity.make_checkpoint import HERE as PARITY
from tests.support.tiny import ABSENT, CONFIG, write_config

# Keys with only one accepted value, each with another value that a training may have used.
FIXED = {
    "IMAGE_ENCODER.NAME": "coswin",
    "IMAGE_ENCODER.NUM_CLASSES": 1000,
    "IMAGE_ENCODER.SPEC.PATCH_SIZE": [7, 2, 2, 2],
    "IMAGE_ENCODER.SPEC.PATCH_STRIDE": [4, 2, 2, 1],
    "IMAGE_ENCODER.SPEC.PATCH_PADDING": [2, 1, 1, 1],
    "IMAGE_ENCODER.SPEC.PATCH_PRENORM": [True, True, True, True],
    "IMAGE_ENCODER.SPEC.CONV_AT_ATTN": False,
    "IMAGE_ENCODER.SPEC.CONV_AT_FFN": False,
    "IMAGE_ENCODER.SPEC.DYNAMIC_SCALE": False,
    "IMAGE_ENCODER.SPEC.QKV_BIAS": False,
    "IMAGE_ENCODER.SPEC.STANDPARAM": False,
    "LANG_ENCODER.NAME": "hf_model",
    "LANG_ENCODER.TOKENIZER": "clip-fast",
    "UNICL_MODEL.STANDPARAM": False,
    "TEST.CENTER_CROP": True,
    "AUG.INTERPOLATION": "bilinear",
}
NEEDED = [
    "IMAGE_ENCODER.NAME",
    "IMAGE_ENCODER.IMAGE_SIZE",
    "IMAGE_ENCODER.IMAGE_MEAN",
    "IMAGE_ENCODER.IMAGE_STD",
    "IMAGE_ENCODER.SPEC.PATCH_SIZE",
    "IMAGE_ENCODER.SPEC.PATCH_STRIDE",
    "IMAGE_ENCODER.SPEC.PATCH_PADDING",
    "IMAGE_ENCODER.SPEC.PATCH_PRENORM",
    "IMAGE_ENCODER.SPEC.DIM_EMBED",
    "IMAGE_ENCODER.SPEC.NUM_HEADS",
    "IMAGE_ENCODER.SPEC.NUM_GROUPS",
    "IMAGE_ENCODER.SPEC.DEPTHS",
    "LANG_ENCODER.NAME",
    "LANG_ENCODER.TOKENIZER",
    "LANG_ENCODER.CONTEXT_LENGTH",
    "LANG_ENCODER.WIDTH",
    "LANG_ENCODER.HEADS",
    "LANG_ENCODER.LAYERS",
    "UNICL_MODEL.DIM_PROJECTION",
]


def refusal(folder: Path, key: str, value: Any) -> str:
    with pytest.raises(ConfigError) as error:
        read_config(write_config(folder, {key: value}))
    return str(error.value)


def test_the_released_config() -> None:
    assert read_config(PARITY / "config_full.yaml") == ModelConfig(
        ImageEncoderConfig(
            image_size=(480, 480),
            image_mean=(0.485, 0.456, 0.406),
            image_std=(0.229, 0.224, 0.225),
            depths=(1, 1, 9, 1),
            widths=(256, 512, 1024, 2048),
            heads=(8, 16, 32, 64),
            window_size=12,
            drop_path_rate=0.2,
        ),
        TextEncoderConfig(context_length=77, width=1024, heads=16, layers=16, causal=False),
        embedding_size=1024,
    )


@pytest.mark.parametrize(
    ("key", "value", "read"),
    [
        (
            "IMAGE_ENCODER.IMAGE_SIZE",
            [96, 64],
            {"image_size": (64, 96)},
        ),  # the order of the reference is [width, height]
        ("IMAGE_ENCODER.IMAGE_MEAN", [0, 0.5, 1], {"image_mean": (0.0, 0.5, 1.0)}),
        ("IMAGE_ENCODER.IMAGE_STD", [1, 0.5, 2], {"image_std": (1.0, 0.5, 2.0)}),
        ("IMAGE_ENCODER.SPEC.DEPTHS", [2, 2, 18, 2], {"depths": (2, 2, 18, 2)}),
        ("IMAGE_ENCODER.SPEC.DIM_EMBED", [96, 192, 384, 768], {"widths": (96, 192, 384, 768)}),
        ("IMAGE_ENCODER.SPEC.WINDOW_SIZE", 7, {"window_size": 7}),
        ("IMAGE_ENCODER.SPEC.WINDOW_SIZE", ABSENT, {"window_size": 7}),
        ("IMAGE_ENCODER.SPEC.DROP_PATH_RATE", ABSENT, {"drop_path_rate": 0.0}),
        ("LANG_ENCODER.CONTEXT_LENGTH", 128, {"context_length": 128}),
        ("LANG_ENCODER.WIDTH", 36, {"width": 36}),
        ("LANG_ENCODER.HEADS", 4, {"heads": 4}),
        ("LANG_ENCODER.LAYERS", 12, {"layers": 12}),
        ("LANG_ENCODER.AUTOGRESSIVE", True, {"causal": True}),
        ("LANG_ENCODER.AUTOGRESSIVE", ABSENT, {"causal": True}),
        ("UNICL_MODEL.DIM_PROJECTION", 512, {"embedding_size": 512}),
    ],
)
def test_sizes_are_those_of_the_file(tmp_path: Path, key: str, value: Any, read: dict[str, Any]) -> None:
    usual = read_config(write_config(tmp_path))
    config = read_config(write_config(tmp_path, {key: value}))
    if key.startswith("IMAGE_ENCODER"):
        assert config == dataclasses.replace(usual, image=dataclasses.replace(usual.image, **read))
    elif key.startswith("LANG_ENCODER"):
        assert config == dataclasses.replace(usual, text=dataclasses.replace(usual.text, **read))
    else:
        assert config == dataclasses.replace(usual, **read)


def test_heads_are_also_the_channel_groups(tmp_path: Path) -> None:
    same = {"IMAGE_ENCODER.SPEC.NUM_HEADS": [8, 8, 8, 8], "IMAGE_ENCODER.SPEC.NUM_GROUPS": [8, 8, 8, 8]}
    assert read_config(write_config(tmp_path, same)).image.heads == (8, 8, 8, 8)
    assert "IMAGE_ENCODER.SPEC.NUM_GROUPS differs from NUM_HEADS ([8, 8, 8, 8] and [1, 2, 3, 4])" in refusal(
        tmp_path, "IMAGE_ENCODER.SPEC.NUM_GROUPS", [8, 8, 8, 8]
    )


@pytest.mark.parametrize("key", FIXED)
def test_an_architecture_that_cannot_be_built_is_refused_by_its_key(tmp_path: Path, key: str) -> None:
    assert refusal(tmp_path, key, FIXED[key]).startswith(
        f"config.yaml: {key} is {FIXED[key]!r}; this code can only build"
    )
    assert refusal(tmp_path, key, None).startswith(f"config.yaml: {key} is None; this code can only build")


def test_no_fixed_key_is_forgotten_above() -> None:
    assert FIXED.keys() == _FIXED.keys() | _FIXED_WHEN_GIVEN.keys()


@pytest.mark.parametrize("key", _FIXED_WHEN_GIVEN)
def test_a_fixed_key_with_its_usual_value_may_be_given_or_not(tmp_path: Path, key: str) -> None:
    usual = read_config(write_config(tmp_path))
    assert read_config(write_config(tmp_path, {key: _FIXED_WHEN_GIVEN[key]})) == usual
    section, _, name = key.rpartition(".")
    if section in CONFIG and name in CONFIG[section]:
        assert read_config(write_config(tmp_path, {key: ABSENT})) == usual


@pytest.mark.parametrize("key", NEEDED)
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    assert refusal(tmp_path, key, ABSENT) == f"config.yaml: {key} is missing"


@pytest.mark.parametrize("section", ["IMAGE_ENCODER", "IMAGE_ENCODER.SPEC", "LANG_ENCODER", "UNICL_MODEL"])
@pytest.mark.parametrize("value", [ABSENT, None, 3, ["a"]])
def test_an_invalid_section_is_refused_by_one_of_its_keys(tmp_path: Path, section: str, value: Any) -> None:
    assert refusal(tmp_path, section, value).startswith(f"config.yaml: {section}.")


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("IMAGE_ENCODER.IMAGE_SIZE", [480, [480], [0, 480], [480, -1], [480.0, 480.0], ["480", "480"], [True, True]]),
        ("IMAGE_ENCODER.IMAGE_MEAN", [0.5, [0.5, 0.5], ["a", "b", "c"], [True, 0.5, 0.5], [float("nan"), 0.5, 0.5]]),
        ("IMAGE_ENCODER.IMAGE_STD", [[0.0, 0.5, 0.5], [-1, 1, 1], [float("inf"), 1, 1], {}]),
        ("IMAGE_ENCODER.SPEC.DEPTHS", [4, [1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 0, 1], [1, 1, 1.5, 1], [1, 1, True, 1]]),
        ("IMAGE_ENCODER.SPEC.DIM_EMBED", [[8, 16, 25, 32], [8, 16, 24], "wide"]),
        ("IMAGE_ENCODER.SPEC.NUM_HEADS", [[0, 2, 3, 4], "many", None]),
        ("IMAGE_ENCODER.SPEC.WINDOW_SIZE", [0, -1, 2.5, "12", True, None, [12, 12]]),
        ("IMAGE_ENCODER.SPEC.DROP_PATH_RATE", [1, -0.1, "0.1", True, None, float("nan")]),
        ("LANG_ENCODER.CONTEXT_LENGTH", [0, 2, "77", 77.0, None]),
        ("LANG_ENCODER.WIDTH", [0, 25, "wide", None]),
        ("LANG_ENCODER.HEADS", [0, 1.5, False]),
        ("LANG_ENCODER.LAYERS", [0, "all"]),
        ("LANG_ENCODER.AUTOGRESSIVE", ["no", 0, None]),
        ("UNICL_MODEL.DIM_PROJECTION", [0, [512], None]),
    ],
)
def test_a_value_of_the_wrong_kind_or_out_of_range_is_refused_by_its_key(
    tmp_path: Path, key: str, values: list[Any]
) -> None:
    for value in values:
        assert refusal(tmp_path, key, value).startswith(f"config.yaml: {key} "), value


def test_heads_that_do_not_divide_their_width_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, "LANG_ENCODER.HEADS", 5) == (
        "config.yaml: LANG_ENCODER.WIDTH has a width of 24, which is not divisible by its 5 heads"
    )
    assert refusal(tmp_path, "IMAGE_ENCODER.SPEC.DIM_EMBED", [8, 16, 32, 32]) == (
        "config.yaml: IMAGE_ENCODER.SPEC.DIM_EMBED has a width of 32, which is not divisible by its 3 heads"
    )


def test_a_dotted_key_is_refused_since_the_trainer_lets_it_override_the_nested_one(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    config.write_text(config.read_text() + "\nLANG_ENCODER.AUTOGRESSIVE: true\n")
    with pytest.raises(ConfigError, match=r"LANG_ENCODER\.AUTOGRESSIVE is a dotted key; nested keys are needed"):
        read_config(config)


def test_keys_that_are_not_read_may_have_any_value(tmp_path: Path) -> None:
    other = {"TRAIN": {"BATCH_SIZE_TOTAL": "all"}, 7: "seven", "LOSS": None, "user.dir": "x"}
    assert read_config(write_config(tmp_path, {"AUG.MIXUP": None})) == read_config(write_config(tmp_path))
    config = write_config(tmp_path)
    config.write_text(config.read_text() + "\n".join(["", *(f"{key}: {value!r}" for key, value in other.items())]))
    assert read_config(config) == read_config(write_config(tmp_path))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a: [1, 2", "config.yaml cannot be read as YAML; the config.yaml of a release folder is needed"),
        (b"\xff\xfe\x00", "config.yaml cannot be read as YAML; the config.yaml of a release folder is needed"),
        (b"!!python/object/apply:os.getcwd []", "config.yaml cannot be read as YAML"),
        (b"- a list", "config.yaml contains no mapping of keys"),
        (b"just text", "config.yaml contains no mapping of keys"),
        (b"", "config.yaml contains no mapping of keys"),
    ],
)
def test_a_file_that_is_not_a_yaml_mapping(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=sentence):
        read_config(tmp_path / "config.yaml")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config.yaml cannot be read"):
        read_config(tmp_path / "config.yaml")
