"""Options of a fine-tuning; each field with `flag(...)` is also a flag of `medimageinsight finetune`.

This module imports neither torch nor numpy, so that `--help` stays instant.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from model.errors import TrainingError
from model.options import flag, numbers_out_of_range

if TYPE_CHECKING:
    from model.imaging.preprocessing import Preprocessing

EXTRA_AUGMENTATIONS = ("rotate", "rescale", "blur", "noise", "jpeg", "window", "invert", "gray")


@dataclass(frozen=True)
class AugmentationOptions:
    """Random changes of a training image, applied in this order. By default nothing flips an image."""

    extra: Mapping[str, float] = field(
        default_factory=dict,
        metadata=flag(
            f"Probability of one more change of the whole image: {', '.join(EXTRA_AUGMENTATIONS)}; repeatable",
            metavar="NAME=PROBABILITY",
        ),
    )
    crop_area: float = field(
        default=0.8, metadata=flag("Smallest share of the image's area that a random crop keeps", above=0, most=1)
    )
    crop_ratio: float = field(
        default=4 / 3,
        metadata=flag("Largest ratio between the sides of a crop, relative to the sides of the image", least=1),
    )
    trivial_augment: bool = field(
        default=True,  # Müller and Hutter 2021, arXiv:2103.10158
        metadata=flag("Skip TrivialAugmentWide, which applies one strong random change per image"),
    )
    erase: float = field(
        default=0.25,
        metadata=flag("Probability of filling a random rectangle with the mean colour", least=0, most=1),
    )
    horizontal_flip: float = field(
        default=0.0,
        metadata=flag(
            "Probability of a horizontal flip, which hides whether a finding is left or right", least=0, most=1
        ),
    )
    vertical_flip: float = field(default=0.0, metadata=flag("Probability of a vertical flip", least=0, most=1))

    def __post_init__(self) -> None:
        if unknown := set(self.extra) - set(EXTRA_AUGMENTATIONS):
            raise TrainingError(
                f"no augmentation is called {', '.join(sorted(unknown))}; there are {', '.join(EXTRA_AUGMENTATIONS)}"
            )
        for problem in numbers_out_of_range(self):
            raise TrainingError(problem)

    @classmethod
    def none(cls) -> Self:
        """No random change."""
        return cls(crop_area=1.0, crop_ratio=1.0, trivial_augment=False, erase=0.0)


def _usual_preprocessing() -> "Preprocessing":
    from model.imaging.preprocessing import Preprocessing  # imports numpy

    return Preprocessing()


@dataclass(frozen=True)
class FinetuneOptions:
    """Options of a fine-tuning, or of a training from scratch if `model` holds freshly initialised weights.

    The command line takes `model`, `device` and `threads` from the settings of these names.
    """

    model: Path  # release folder to start from
    out: Path = field(metadata=flag("Release folder to write", path="folder"))
    # data
    data: Path | None = field(
        default=None,
        metadata=flag(
            "CSV or Parquet file with the column path, and text or label, others such as split, group; or JSONL file "
            "of MedImageInsight Premium's fine-tuning"
        ),
    )
    val: Path | None = field(
        default=None, metadata=flag("File like --data to validate on; without it, the rows of --data with split val")
    )
    image_tsv: Path | None = field(
        default=None,
        metadata=flag("File of name<TAB>base64 lines, as the public fine-tuning notebook writes it; replaces --data"),
    )
    text_tsv: Path | None = field(
        default=None, metadata=flag("File of name<TAB>JSON lines with the texts for --image-tsv")
    )
    val_image_tsv: Path | None = field(default=None, metadata=flag("File like --image-tsv to validate on"))
    val_text_tsv: Path | None = field(default=None, metadata=flag("File like --text-tsv to validate on"))
    label_file: Path | None = field(
        default=None,
        metadata=flag("File with one class name per line; the TSV files number the classes from 0 in this order"),
    )
    label_texts: Mapping[str, Sequence[str]] = field(
        default_factory=dict,
        metadata=flag(
            "JSON or YAML file of label -> wordings; one is drawn per image and step", path="file", metavar="FILE"
        ),
    )
    # Training skips the standardisation, whose place the random changes take; validation applies all of it.
    preprocessing: "Preprocessing" = field(default_factory=_usual_preprocessing)
    strict: bool = field(default=False, metadata=flag("Stop at a bad row; otherwise bad rows are listed and left out"))
    # sampling
    sample_by: str = field(
        default="",
        metadata=flag("Column whose values get fixed shares of every batch; see --share", metavar="COLUMN"),
    )
    shares: Mapping[str, float] = field(  # see model.training.batches.sampling.batch_shares
        default_factory=dict,
        metadata=flag(
            "Share of a batch for one value of the column --sample-by; repeatable",
            name="--share",
            metavar="VALUE=SHARE",
        ),
    )
    augmentation: AugmentationOptions = field(default_factory=AugmentationOptions)
    cache_pixels: int = field(
        default=0,
        metadata=flag("Largest side in pixels of decoded images that are kept in memory; 0 keeps none", least=0),
    )
    workers: int = field(
        default=0, metadata=flag("Processes that load images; 0 loads them in the training process", least=0)
    )
    # optimisation
    batch_size: int = field(
        default=64, metadata=flag("Images compared with each other per step, over all processes", least=1)
    )
    chunk_size: int = field(
        default=0,
        metadata=flag("Images that each process encodes at once; 0 encodes its whole part of the batch", least=0),
    )
    recompute: bool = field(
        default=True,
        metadata=flag(
            "Keep the graph of every chunk of --chunk-size: more memory, but no second encoding", name="--keep-graphs"
        ),
    )
    epochs: float = field(default=10.0, metadata=flag("Passes through the training rows", least=0))
    steps: int = field(default=0, metadata=flag("Batches to train on, instead of --epochs; 0 uses --epochs", least=0))
    learning_rate: float = field(default=1e-5, metadata=flag("Peak learning rate", above=0))
    min_learning_rate: float = field(
        default=0.0, metadata=flag("Learning rate at the end of the cosine, as a share of the peak", least=0, most=1)
    )
    warmup_steps: int = field(default=5, metadata=flag("Steps of linear warm-up", least=0))
    weight_decay: float = field(default=0.2, metadata=flag("Weight decay, applied to matrices only", least=0))
    betas: tuple[float, float] = field(
        default=(0.9, 0.999), metadata=flag("Decay rates of AdamW's two moving averages", metavar="BETA1 BETA2")
    )
    gradient_clip: float = field(default=1.0, metadata=flag("Largest norm of the gradient; 0 clips nothing", least=0))
    freeze: tuple[str, ...] = field(  # such as "^lang_encoder"
        default=(),
        metadata=flag(
            "Regular expression over released names of parameters that are not trained; repeatable", metavar="PATTERN"
        ),
    )
    learning_rates: Mapping[str, float] = field(
        default_factory=dict,
        metadata=flag(
            "Peak learning rate of the parameters whose released name matches; repeatable",
            name="--learning-rate-for",
            metavar="PATTERN=RATE",
        ),
    )
    ema: float = field(
        default=0.999,
        metadata=flag(
            "Decay of the moving average that is validated and saved; 0 saves the last weights", least=0, below=1
        ),
    )
    drop_path: float | None = field(
        default=None,
        metadata=flag("Rate of dropped blocks; without it, that of config.yaml", least=0, below=1),
    )
    gradient_checkpointing: bool = field(
        default=False, metadata=flag("Compute activations again in the backward pass: less memory, a third more time")
    )
    mixed_precision: str = field(
        default="auto",
        metadata=flag(
            "Number format of the encoders' arithmetic; auto takes bfloat16 or float16 on CUDA, and off elsewhere",
            choices=("auto", "bfloat16", "float16", "off"),
        ),
    )
    # running
    device: str = "auto"
    threads: int = 0  # torch's threads on a CPU; 0 takes every CPU
    seed: int = field(default=0, metadata=flag("Seed of all randomness"))
    eval_every: int = field(
        default=0, metadata=flag("Steps between validations; 0 validates at the end of every epoch", least=0)
    )
    save_every: int = field(
        default=0,
        metadata=flag("Steps between saved states for --resume; 0 saves at the end of every epoch", least=0),
    )
    log_every: int = field(default=10, metadata=flag("Steps between lines of metrics.jsonl", least=1))
    keep_best: bool = field(
        default=False, metadata=flag("Save the weights with the best validation instead of the last ones")
    )
    classifier: bool = field(
        default=False,
        metadata=flag("Write a zero-shot head of the trained labels too, to the folder classifier in --out"),
    )
    resume: bool = field(
        default=False, metadata=flag("Continue the interrupted training in --out; start one if there is none")
    )
    tensorboard: bool = field(
        default=True, metadata=flag("Write no TensorBoard events; without it, they are written if it is installed")
    )

    def __post_init__(self) -> None:
        for problem in numbers_out_of_range(self):
            raise TrainingError(problem)
        if (self.data is None) == (self.image_tsv is None) or (self.image_tsv is None) != (self.text_tsv is None):
            raise TrainingError("a manifest is needed, or an image TSV together with a text TSV")
        if (self.val_image_tsv is None) != (self.val_text_tsv is None):
            raise TrainingError("a validation image TSV and a validation text TSV are needed together")

    def as_dict(self) -> dict[str, Any]:
        """All options as values that JSON can hold."""
        values = asdict(self) | {"preprocessing": self.preprocessing.params()}
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


@dataclass(frozen=True)
class Plan:
    """Length of a training, and numbers of steps between validations and between saved states."""

    steps: int
    steps_per_epoch: float
    eval_every: int
    save_every: int

    @classmethod
    def of(cls, options: FinetuneOptions, row_count: int) -> Self:
        per_epoch = row_count / options.batch_size
        every = max(1, round(per_epoch))
        steps = options.steps or max(1, round(options.epochs * per_epoch))
        return cls(steps, per_epoch, options.eval_every or every, options.save_every or every)
