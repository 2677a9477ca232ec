"""Fine-tuning with the UniCL objective, as MedImageInsight was trained, or training such a model from scratch."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from timm.models.davit import DaVitStage

from model.checkpoints.checkpoint import WEIGHTS_FILE, load_model, save_model
from model.checkpoints.release_folder import CONFIG_FILE, ReleaseFolder, find_release_folder
from model.config import ModelConfig, read_config
from model.devices import DTYPES, available_cpus, pick_device, pick_dtype
from model.encoders.medimageinsight import MedImageInsight
from model.encoders.tokenizer import Tokenizer
from model.errors import TrainingError
from model.training.batches.augmentation import Augmentation
from model.training.batches.loader import Normaliser, TextBatcher, TrainingSet
from model.training.batches.rows import TrainingRows, read_rows
from model.training.distributed import World, join_world, leave_world
from model.training.log import CURVES_FILE, TrainingLog, draw_curves
from model.training.optimisation import freeze
from model.training.options import FinetuneOptions
from model.training.record import fingerprint_of, record_of
from model.training.trainer import Trainer
from model.training.validation import Validation

RECORD_FILE = "training.json"
STATE_FOLDER = "state"
MOST_LISTED = 20  # bad rows that are said one by one


def finetune(options: FinetuneOptions, *, say: Callable[[str], object] = lambda _: None) -> dict[str, Any]:
    """Train, and write a release folder that the service loads.

    Args:
        options: what to do.
        say: is told, a line at a time, what a person should know: rows that are left out, mostly.

    Returns:
        What `training.json` holds: options, versions, data, and the last metrics.

    Raises:
        TrainingInterrupted: a signal came; call again with `resume`.
        TrainingError, ManifestError, CheckpointError, ConfigError, DeviceError: each says in one sentence why.
    """
    world, device = join_world(options.device)
    try:
        return _finetune(options, world, pick_device(device), say if world.is_main else lambda _: None)
    finally:
        leave_world()


def _finetune(
    options: FinetuneOptions, world: World, device: torch.device, say: Callable[[str], object]
) -> dict[str, Any]:
    finished = _check_out(options)
    if finished is not None:
        return finished
    world.barrier()  # nobody writes into the folder before all have looked at it
    torch.set_num_threads(options.threads or available_cpus())
    release = find_release_folder(options.model)
    config = read_config(release.config)
    tokenizer = Tokenizer(release.tokenizer, config.text.context_length)
    data = read_rows(options)
    _describe(data, say)
    autocast = _autocast(options, device)
    model = _trainable(release, config, tokenizer, options, device)
    trainer = _trainer(options, config, model, tokenizer, data, world, autocast)
    base_sha256 = release.weights_sha256()
    fingerprint = fingerprint_of(options, data, base_sha256)
    state_folder = options.out / STATE_FOLDER
    state_folder.mkdir(parents=True, exist_ok=True)
    world.barrier()
    if options.resume and trainer.resume(state_folder, fingerprint):
        say(f"going on after step {trainer.progress.step} of {trainer.plan.steps}")
    log = None
    if world.is_main:
        log = TrainingLog(options.out, after_step=trainer.progress.step, tensorboard=options.tensorboard)

    def save(folder: Path, model: MedImageInsight) -> Path:
        return save_model(model, folder, config=release.config, tokenizer=release.tokenizer)

    best = state_folder / "best"
    trainer.run(log, state_folder, fingerprint, partial(save, best))
    record: dict[str, Any] = {}
    if world.is_main and log:
        log.close()
        weights = save(options.out, trainer.best_model)
        if (best / "vision_model" / WEIGHTS_FILE).is_file():
            (best / "vision_model" / WEIGHTS_FILE).replace(weights)
        record = record_of(options, release, base_sha256, data, trainer, log)
        draw_curves(log.records, options.out / CURVES_FILE)
        unfinished = options.out / f"{RECORD_FILE}.partial"
        unfinished.write_text(json.dumps(record, indent=2), encoding="utf-8")
        unfinished.replace(options.out / RECORD_FILE)
        shutil.rmtree(state_folder)
    world.barrier()
    return record


def _describe(data: TrainingRows, say: Callable[[str], object]) -> None:
    for use, manifest in (("to learn from", data.train), ("held out", data.val)):
        if manifest:
            left_out = f", {len(manifest.bad_rows)} bad rows left out" if manifest.bad_rows else ""
            say(f"{manifest.path.name}: {len(manifest.rows)} rows {use}{left_out}")
            for bad in manifest.bad_rows[:MOST_LISTED]:
                say(f"  row {bad.number}: {bad.reason}")
            if len(manifest.bad_rows) > MOST_LISTED:
                say(f"  and {len(manifest.bad_rows) - MOST_LISTED} more; training.json will list them all")
    if data.shared_groups:
        say(f"{len(data.shared_groups)} groups stand on both sides: the validation will look better than it is")


def _check_out(options: FinetuneOptions) -> dict[str, Any] | None:
    """What `training.json` says if this training is already finished.

    Raises:
        TrainingError: the folder holds something else.
    """
    record = options.out / RECORD_FILE
    if options.resume:
        if record.is_file():
            finished: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
            return finished
        return None
    if (options.out / STATE_FOLDER).exists():
        raise TrainingError(f"{options.out} holds an interrupted training: add --resume, or name another folder")
    if (options.out / CONFIG_FILE).exists() or (options.out / "vision_model").exists():
        raise TrainingError(f"{options.out} already holds a model: name another folder")
    return None


def _autocast(options: FinetuneOptions, device: torch.device) -> torch.dtype | None:
    if options.mixed_precision == "off" or (options.mixed_precision == "auto" and device.type != "cuda"):
        return None
    if options.mixed_precision not in ("auto", "bfloat16", "float16"):
        raise TrainingError(f"mixed_precision is {options.mixed_precision!r}; use auto, bfloat16, float16 or off")
    if options.mixed_precision == "float16" and device.type != "cuda":
        raise TrainingError("float16 needs CUDA; use bfloat16 or off")
    return (
        pick_dtype(options.mixed_precision, device)
        if options.mixed_precision == "auto"
        else DTYPES[options.mixed_precision]
    )


def _trainable(
    release: ReleaseFolder,
    config: ModelConfig,
    tokenizer: Tokenizer,
    options: FinetuneOptions,
    device: torch.device,
) -> MedImageInsight:
    """The model in train mode, its weights in memory of their own."""
    if options.drop_path is not None:
        config = replace(config, image=replace(config.image, drop_path_rate=options.drop_path))
    model = load_model(release.weights, config, tokenizer.vocabulary_size, device=device, dtype=torch.float32)
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()  # the file is mapped into memory, read-only
    model.requires_grad_(True).train()
    freeze(model, options.freeze)
    if options.gradient_checkpointing:
        for stage in model.image_encoder.modules():
            if isinstance(stage, DaVitStage):
                stage.set_grad_checkpointing()
        model.text_encoder.gradient_checkpointing = True
    return model


def _trainer(
    options: FinetuneOptions,
    config: ModelConfig,
    model: MedImageInsight,
    tokenizer: Tokenizer,
    data: TrainingRows,
    world: World,
    autocast: torch.dtype | None,
) -> Trainer:
    image = config.image
    fill = (round(255 * image.image_mean[0]), round(255 * image.image_mean[1]), round(255 * image.image_mean[2]))
    training_set = TrainingSet(
        data.train.rows,
        image.image_size,
        fill,
        Augmentation(**asdict(options.augmentation)),
        cache_pixels=options.cache_pixels,
        strict=options.strict,
    )
    if options.cache_pixels and options.workers:
        training_set.fill_cache()  # before the processes part, so that they share it
    normalise = Normaliser(image.image_mean, image.image_std, model.logit_scale.device)
    batch_texts = TextBatcher(tokenizer)
    validation = None
    if data.val:
        validation = Validation(
            data.val.rows,
            image.image_size,
            normalise,
            batch_texts,
            world,
            loss_batch_size=options.batch_size,
            cache_pixels=options.cache_pixels,
            threads=available_cpus(),
        )
    return Trainer(options, model, training_set, batch_texts, normalise, validation, world, autocast)
