"""The YAML file of the public fine-tuning notebook as options of a fine-tuning."""

from pathlib import Path

import pytest

from app.cli.options.azure_config import read_azure_config
from model.errors import ManifestError, TrainingError

CONFIG = r"""
TASK: UniCLTask
NAME: 'finetune'
LOG_EVERY: 5
RESUME: True
FP16: true
SAVE_PER_OPTIM_STEPS: 100
EVAL_PER_OPTIM_STEPS: 50
EVAL_STRATEGY:
  EVAL_LAST_MODEL: true
GRAD_CLIPPING: 0.07
WORKERS: 6
IMAGE_ENCODER:
  IMAGE_SIZE: [480, 480]
  SPEC:
    DROP_PATH_RATE: 0.2
    ENABLE_CHECKPOINT: true
LANG_ENCODER:
  LAYERS: 16
AUG:
  MIXUP_PROB: 0.0
  SCALE: [0.7, 1.0]
  RATIO: [0.75, 1.3333333]
  TORCHVISION_AUG:
    AUTO_AUGMENT: ta_wide
    RE_PROB: 0.1
    HFLIP: 0.5
    VFLIP: 0.0
LOSS:
  LOSS: UniCL
TRAIN:
  BATCH_SIZE_TOTAL: 48
  BATCH_SIZE_PER_GPU: 4
WEIGHT_SMOOTHING:
  decay: 0.99
  use_cpu: False
START_LEARNING_RATE: 5e-6
MAX_NUM_EPOCHS: 15
OPTIMIZER: AdamW
OPTIMIZER_PARAMS:
  weight_decay: 0.4
CUSTOMIZED_PARAMS_CONF:
  LR_SCALE_PATTERNS:
    "logit_scale": 0.1
  FREEZE_PATTERNS:
    - "^lang_encoder.resblocks.0\\."
    - "^convs\\."
    - "^blocks.0\\."
LR_SCHEDULER_PARAMS:
  sched: cosine
  warmup_steps: 7
  min_lr: 0.000001
"""


def write(folder: Path, text: str) -> Path:
    (folder / "train.yaml").write_text(text)
    return folder / "train.yaml"


def test_names_of_the_notebook_become_options_and_the_others_are_listed(tmp_path: Path) -> None:
    config = read_azure_config(write(tmp_path, CONFIG))
    assert config.options == {
        "log_every": 5,
        "resume": True,
        "mixed_precision": "auto",
        "save_every": 100,
        "eval_every": 50,
        "gradient_clip": 0.07,
        "workers": 6,
        "drop_path": 0.2,
        "gradient_checkpointing": True,
        "crop_area": 0.7,
        "crop_ratio": 1.3333333,
        "trivial_augment": True,
        "erase": 0.1,
        "horizontal_flip": 0.5,
        "vertical_flip": 0.0,
        "batch_size": 48,
        "chunk_size": 4,
        "ema": 0.99,
        "learning_rate": 5e-6,
        "epochs": 15.0,
        "weight_decay": 0.4,
        "learning_rates": {"logit_scale": pytest.approx(5e-7)},
        "freeze": (r"^lang_encoder.resblocks.0\.", r"^image_encoder\.convs\.", r"^image_encoder\.blocks.0\."),
        "warmup_steps": 7,
        "min_learning_rate": pytest.approx(0.2),
    }
    assert config.unread == (
        "NAME",
        "EVAL_STRATEGY",
        "IMAGE_ENCODER.IMAGE_SIZE",
        "LANG_ENCODER",
        "WEIGHT_SMOOTHING.use_cpu",
    )


def test_relative_rates_follow_a_learning_rate_that_replaces_the_files(tmp_path: Path) -> None:
    options = read_azure_config(write(tmp_path, CONFIG), learning_rate=1e-4).options
    assert options["min_learning_rate"] == pytest.approx(0.01)
    assert options["learning_rates"] == {"logit_scale": pytest.approx(1e-5)}


def test_names_without_a_value_say_nothing(tmp_path: Path) -> None:
    config = read_azure_config(
        write(tmp_path, "START_LEARNING_RATE:\nTRAIN:\nCUSTOMIZED_PARAMS_CONF:\n  FREEZE_PATTERNS:\n")
    )
    assert config.options == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("START_LEARNING_RATE: fast", "START_LEARNING_RATE must be a number"),
        ("START_LEARNING_RATE: -1", "START_LEARNING_RATE must be above 0"),
        ("MAX_NUM_EPOCHS: .nan", "MAX_NUM_EPOCHS must be a number"),
        ("LOG_EVERY: 2.5", "LOG_EVERY must be a whole number"),
        ("LOG_EVERY: true", "LOG_EVERY must be a whole number"),
        ("FP16: 1", "FP16 must be true or false"),
        ("TRAIN:\n  BATCH_SIZE_TOTAL: 0", r"TRAIN\.BATCH_SIZE_TOTAL must be at least 1"),
        ("WEIGHT_SMOOTHING:\n  decay: 1", r"WEIGHT_SMOOTHING\.decay must be at least 0 and below 1"),
        ("AUG:\n  SCALE: [0.8, 0.9]", r"AUG\.SCALE must be a list of the smallest share"),
        ("AUG:\n  SCALE: [2, 1]", r"AUG\.SCALE must be above 0 and at most 1"),
        ("AUG:\n  RATIO: [0.5, 1.5]", r"AUG\.RATIO must be a list of two numbers"),
        ("AUG:\n  MIXUP_PROB: 0.5", r"AUG\.MIXUP_PROB must be 0, because nothing else is implemented here"),
        ("AUG:\n  TORCHVISION_AUG:\n    AUTO_AUGMENT: ra", r"AUG\.TORCHVISION_AUG\.AUTO_AUGMENT must be ta_wide"),
        ("OPTIMIZER: SGD", "OPTIMIZER must be AdamW"),
        ("OPTIMIZER_PARAMS:\n  betas: [0.9, 1.0]", r"OPTIMIZER_PARAMS\.betas must be a list"),
        ("LR_SCHEDULER_PARAMS:\n  min_lr: 1", r"LR_SCHEDULER_PARAMS\.min_lr must be at most the peak learning rate"),
        ("CUSTOMIZED_PARAMS_CONF:\n  FREEZE_PATTERNS: x", "FREEZE_PATTERNS must be a list of regular expressions"),
        ("CUSTOMIZED_PARAMS_CONF:\n  FREEZE_PATTERNS: ['(']", "FREEZE_PATTERNS must be valid regular expressions"),
        ("CUSTOMIZED_PARAMS_CONF:\n  LR_SCALE_PATTERNS: {a: -1}", "LR_SCALE_PATTERNS must be at least 0"),
        ("CUSTOMIZED_PARAMS_CONF:\n  LR_SCALE_PATTERNS: [a]", "LR_SCALE_PATTERNS must be regular expressions with a"),
        ("- a list", "must map names to values"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TrainingError, match=rf"train.yaml:? (CUSTOMIZED_PARAMS_CONF\.)?{message}"):
        read_azure_config(write(tmp_path, text))


def test_a_file_that_is_not_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="this is neither JSON nor YAML"):
        read_azure_config(write(tmp_path, "TRAIN: ["))
