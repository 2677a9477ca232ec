"""Sizes of a model, read from the `config.yaml` of a release folder.

The file is the configuration of the trainer. Only the keys that determine the encoders and their preprocessing are
read. An architecture that the code cannot build is refused with the full name of the key.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from model.errors import ConfigError

STAGES = 4  # stages of DaViT; each list in the file has one value per stage

# Keys with only one accepted value, because timm's DaViT and the released recipe support no other.
_FIXED = {
    "IMAGE_ENCODER.NAME": "davit_v1",
    "IMAGE_ENCODER.SPEC.PATCH_SIZE": [7, 3, 3, 3],
    "IMAGE_ENCODER.SPEC.PATCH_STRIDE": [4, 2, 2, 2],
    "IMAGE_ENCODER.SPEC.PATCH_PADDING": [3, 1, 1, 1],
    "IMAGE_ENCODER.SPEC.PATCH_PRENORM": [False, True, True, True],
    "LANG_ENCODER.NAME": "transformer",
    "LANG_ENCODER.TOKENIZER": "clip",
}
_FIXED_WHEN_GIVEN = {
    "IMAGE_ENCODER.NUM_CLASSES": 0,
    "IMAGE_ENCODER.SPEC.CONV_AT_ATTN": True,
    "IMAGE_ENCODER.SPEC.CONV_AT_FFN": True,
    "IMAGE_ENCODER.SPEC.DYNAMIC_SCALE": True,
    "IMAGE_ENCODER.SPEC.QKV_BIAS": True,
    "IMAGE_ENCODER.SPEC.STANDPARAM": True,
    "UNICL_MODEL.STANDPARAM": True,
    "TEST.CENTER_CROP": False,
    "AUG.INTERPOLATION": "bicubic",
}
_SECTIONS = (
    "IMAGE_ENCODER",
    "LANG_ENCODER",
    "UNICL_MODEL",
    "TEST",
    "AUG",
)  # in the trainer, a dotted key such as "AUG.X" overrides them


@dataclass(frozen=True)
class ImageEncoderConfig:
    """Sizes of the DaViT image encoder and its input."""

    image_size: tuple[int, int]  # height, width in pixels
    image_mean: tuple[float, float, float]  # of red, green and blue, scaled to [0, 1]
    image_std: tuple[float, float, float]  # on the same scale
    depths: tuple[int, ...]  # number of dual-attention blocks per stage
    widths: tuple[int, ...]  # channels per stage
    heads: tuple[int, ...]  # attention heads per stage, which is also the number of channel groups
    window_size: int  # width and height of an attention window, in tokens
    drop_path_rate: float  # stochastic depth in training: the rate of the last block, in [0, 1)


@dataclass(frozen=True)
class TextEncoderConfig:
    """Sizes of the text encoder."""

    context_length: int  # maximum tokens per text, including the start token and the end token
    width: int  # channels
    heads: int  # attention heads
    layers: int
    causal: bool  # each token attends only to itself and to earlier tokens


@dataclass(frozen=True)
class ModelConfig:
    """All sizes of a MedImageInsight model except the vocabulary's."""

    image: ImageEncoderConfig
    text: TextEncoderConfig
    embedding_size: int  # dimensions of the common space of images and texts


def read_config(path: Path) -> ModelConfig:
    """Read `config.yaml`.

    Raises:
        ConfigError: the file is not YAML, a key is missing, a value is out of range, or the architecture is one
            that this code cannot build.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path.name} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError: not UTF-8, or an impossible date
        raise ConfigError(
            f"{path.name} cannot be read as YAML; the config.yaml of a release folder is needed"
        ) from error
    if not isinstance(document, Mapping):
        raise ConfigError(f"{path.name} contains no mapping of keys; the config.yaml of a release folder is needed")
    return _Reader(document, path.name).model()


class _Reader:
    """Reads typed values from the nested mapping. Each error names the full key."""

    def __init__(self, document: Mapping[str, Any], name: str) -> None:
        self._document = document
        self._name = name

    def model(self) -> ModelConfig:
        for key in self._document:
            if str(key).partition(".")[0] in _SECTIONS and key not in _SECTIONS:
                raise self._error(str(key), "is a dotted key; nested keys are needed")
        for key, wanted in _FIXED.items():
            self._require(key, self._get(key), wanted)
        for key, usual in _FIXED_WHEN_GIVEN.items():
            self._require(key, self._get(key, usual), usual)
        return ModelConfig(self._image(), self._text(), self._positive("UNICL_MODEL.DIM_PROJECTION"))

    def _image(self) -> ImageEncoderConfig:
        spec = "IMAGE_ENCODER.SPEC"
        widths, heads = self._per_stage(f"{spec}.DIM_EMBED"), self._per_stage(f"{spec}.NUM_HEADS")
        groups = self._per_stage(f"{spec}.NUM_GROUPS")
        if heads != groups:
            raise self._error(
                f"{spec}.NUM_GROUPS",
                f"differs from NUM_HEADS ({list(groups)} and {list(heads)}); equal lists are needed",
            )
        for width, head_count in zip(widths, heads, strict=True):
            self._require_divisible(f"{spec}.DIM_EMBED", width, head_count)
        return ImageEncoderConfig(
            image_size=self._image_size(),
            image_mean=self._rgb("IMAGE_ENCODER.IMAGE_MEAN"),
            image_std=self._rgb("IMAGE_ENCODER.IMAGE_STD", above_zero=True),
            depths=self._per_stage(f"{spec}.DEPTHS"),
            widths=widths,
            heads=heads,
            window_size=self._positive(f"{spec}.WINDOW_SIZE", 7),
            drop_path_rate=self._fraction(f"{spec}.DROP_PATH_RATE", 0.0),
        )

    def _text(self) -> TextEncoderConfig:
        width, heads = self._positive("LANG_ENCODER.WIDTH"), self._positive("LANG_ENCODER.HEADS")
        self._require_divisible("LANG_ENCODER.WIDTH", width, heads)
        causal = self._get("LANG_ENCODER.AUTOGRESSIVE", True)
        if not isinstance(causal, bool):
            raise self._error("LANG_ENCODER.AUTOGRESSIVE", f"is {causal!r}; true or false is needed")
        context_length = self._positive("LANG_ENCODER.CONTEXT_LENGTH")
        if context_length < 3:
            raise self._error(
                "LANG_ENCODER.CONTEXT_LENGTH", f"is {context_length}; at least 3 is needed (start, one token, end)"
            )
        return TextEncoderConfig(context_length, width, heads, self._positive("LANG_ENCODER.LAYERS"), causal)

    def _image_size(self) -> tuple[int, int]:
        key = "IMAGE_ENCODER.IMAGE_SIZE"
        match self._get(key):
            case [width, height] if _is_positive_int(width) and _is_positive_int(
                height
            ):  # the reference has this order too
                return height, width
            case value:
                raise self._error(key, f"is {value!r}; [width, height] in pixels is needed")

    def _rgb(self, key: str, *, above_zero: bool = False) -> tuple[float, float, float]:
        match self._get(key):
            case [red, green, blue] as values if all(map(_is_number, values)) and (
                not above_zero or min(red, green, blue) > 0
            ):
                return float(red), float(green), float(blue)
            case value:
                raise self._error(key, f"is {value!r}; three {'positive ' * above_zero}numbers are needed")

    def _per_stage(self, key: str) -> tuple[int, ...]:
        value = self._get(key)
        if isinstance(value, list) and len(value) == STAGES and all(_is_positive_int(item) for item in value):
            return tuple(value)
        raise self._error(key, f"is {value!r}; {STAGES} positive whole numbers are needed, one per stage")

    def _positive(self, key: str, default: int | None = None) -> int:
        value = self._get(key, default)
        if not _is_positive_int(value):
            raise self._error(key, f"is {value!r}; a positive whole number is needed")
        return int(value)

    def _fraction(self, key: str, default: float) -> float:
        value = self._get(key, default)
        if not _is_number(value) or not 0 <= value < 1:
            raise self._error(key, f"is {value!r}; a number from 0 to below 1 is needed")
        return float(value)

    def _get(self, key: str, default: Any = None) -> Any:
        value: Any = self._document
        for part in key.split("."):
            if not isinstance(value, Mapping) or part not in value:
                if default is None:
                    raise self._error(key, "is missing")
                return default
            value = value[part]
        return value

    def _require(self, key: str, value: Any, wanted: Any) -> None:
        if value != wanted:
            raise self._error(key, f"is {value!r}; this code can only build {wanted!r}")

    def _require_divisible(self, key: str, width: int, heads: int) -> None:
        if width % heads:
            raise self._error(key, f"has a width of {width}, which is not divisible by its {heads} heads")

    def _error(self, key: str, what: str) -> ConfigError:
        return ConfigError(f"{self._name}: {key} {what}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_positive_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
