"""What a fine-tuning can be told."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from model.data.manifest import LabelTexts
from model.errors import TrainingError
from model.training.batches.augmentation import Augmentation


@dataclass(frozen=True)
class FinetuneOptions:
    """A fine-tuning, or a training from scratch where `model` holds freshly initialised weights."""

    model: Path  # release folder to start from
    out: Path  # release folder to write
    # data
    data: Path | None = None  # CSV or Parquet manifest; see model.data.manifest.read_manifest
    val: Path | None = None  # the same, held out; without it, rows of `data` whose split is "val"
    image_tsv: Path | None = None  # the fine-tuning notebook's files, instead of `data`
    text_tsv: Path | None = None
    val_image_tsv: Path | None = None
    val_text_tsv: Path | None = None
    label_file: Path | None = None  # class names, one a line, that the TSV files' class ids count
    label_texts: LabelTexts = field(default_factory=dict)  # label -> wordings, one drawn for each image and step
    strict: bool = False  # a bad row ends the training
    # sampling
    sample_by: str = ""  # column whose values get shares of every batch; "" takes all rows alike
    shares: Mapping[str, float] = field(default_factory=dict)  # see model.training.batches.sampling.batch_shares
    augmentation: Augmentation = field(default_factory=Augmentation)
    cache_pixels: int = 0  # keep decoded images in memory, at most this long; 0 decodes them every time
    workers: int = 0  # processes that load images; 0 loads them in the training process
    # optimisation
    batch_size: int = 64  # images that are compared with each other, over all processes
    chunk_size: int = 0  # images that go through the encoder at once, in each process; 0 takes all of its share
    recompute: bool = True  # encode each chunk twice instead of keeping all graphs in memory
    epochs: float = 10.0
    steps: int = 0  # instead of epochs
    learning_rate: float = 1e-5  # at the peak
    min_learning_rate: float = 0.0  # at the end, as a share of the peak
    warmup_steps: int = 5
    weight_decay: float = 0.2
    betas: tuple[float, float] = (0.9, 0.999)
    gradient_clip: float = 1.0  # largest norm; 0 clips nothing
    freeze: tuple[str, ...] = ()  # regular expressions over released names, such as "^lang_encoder"
    learning_rates: Mapping[str, float] = field(default_factory=dict)  # the same -> peak learning rate
    ema: float = 0.999  # decay of the moving average that is evaluated and saved; 0 saves the last weights
    drop_path: float | None = None  # None takes the config's
    gradient_checkpointing: bool = False
    mixed_precision: str = "auto"  # auto (bfloat16 or float16 on CUDA), bfloat16, float16, off
    # running
    device: str = "auto"
    threads: int = 0  # of torch on a CPU; 0 takes every one
    seed: int = 0
    eval_every: int = 0  # steps; 0 is at the end of every epoch
    save_every: int = 0  # steps between states to resume from; 0 is at the end of every epoch
    log_every: int = 10  # steps
    keep_best: bool = False  # save the weights with the best validation instead of the last
    resume: bool = False
    tensorboard: bool = True  # where it is installed

    def __post_init__(self) -> None:
        positive = ("batch_size", "learning_rate", "log_every")
        not_negative = ("chunk_size", "epochs", "steps", "warmup_steps", "weight_decay", "gradient_clip", "workers")
        for names, least in ((positive, "above 0"), (not_negative, "at least 0")):
            for name in names:
                value = getattr(self, name)
                if value < 0 or (value == 0 and names is positive):
                    raise TrainingError(f"{name} is {value}; it must be {least}")
        if not 0 <= self.ema < 1:
            raise TrainingError(f"ema is {self.ema}; it must be at least 0 and below 1")
        if (self.data is None) == (self.image_tsv is None) or (self.image_tsv is None) != (self.text_tsv is None):
            raise TrainingError("name a manifest, or an image TSV together with a text TSV")
        if (self.val_image_tsv is None) != (self.val_text_tsv is None):
            raise TrainingError("a validation image TSV needs a text TSV, and the other way round")

    def as_dict(self) -> dict[str, Any]:
        """Everything, in what JSON can hold."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}
