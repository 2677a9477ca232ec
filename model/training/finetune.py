"""Fine-tuning with the UniCL objective, with which MedImageInsight was trained, and training from scratch."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from timm.models.davit import DaVitStage

from model.checkpoints.checkpoint import load_model, save_model
from model.checkpoints.release_folder import CONFIG_FILE, ReleaseFolder, find_release_folder
from model.config import ModelConfig, read_config
from model.cpus import available_cpus
from model.devices import DTYPES, pick_device, pick_dtype
from model.encoders.medimageinsight import MedImageInsight
from model.encoders.tokenizer import Tokenizer
from model.errors import TrainingError
from model.output_file import open_folder, write_file
from model.training.batches.augmentation import Augmentation
from model.training.batches.loader import Normaliser, TextBatcher
from model.training.batches.rows import TrainingRows, read_rows
from model.training.batches.training_set import TrainingSet
from model.training.distributed import World, join_world, leave_world
from model.training.optimisation import freeze
from model.training.options import FinetuneOptions
from model.training.outputs.classifier import add_classifier, trained_prompts, write_classifier
from model.training.outputs.curves import CURVES_FILE, draw_curves
from model.training.outputs.log import BEFORE_TRAINING, TrainingLog
from model.training.outputs.record import fingerprint_of, record_of
from model.training.trainer import Trainer
from model.training.validation import Validation

RECORD_FILE = "training.json"
STATE_FOLDER = "state"
MOST_LISTED = 20  # bad rows that are reported one by one


def finetune(
    options: FinetuneOptions, *, say: Callable[[str], object] = lambda _: None, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """Train a model and write a release folder that the service can load.

    Args:
        options: the options of the training.
        say: called with each line for the user: numbers of rows, bad rows, the step that a training resumes after.
        notes: lines to say first; default: none.

    Returns:
        The content of `training.json`: options, versions, data and the last metrics. Empty on all ranks but the first.

    Raises:
        TrainingInterrupted: SIGTERM or Ctrl-C was received; the option `resume` continues the training.
        TrainingError: the options do not fit together, or the training cannot continue.
        ManifestError: a file of rows, or a row of it, cannot be used.
        CheckpointError: the weights of the model cannot be used.
        ConfigError: the config of the model cannot be used.
        DeviceError: the device is not available.
        OutputError: a file cannot be written.
    """
    world, device = join_world(options.device)
    for note in notes if world.is_main else ():
        say(note)
    try:
        return _finetune(options, world, pick_device(device), say if world.is_main else lambda _: None)
    finally:
        leave_world()


def _finetune(
    options: FinetuneOptions, world: World, device: torch.device, say: Callable[[str], object]
) -> dict[str, Any]:
    finished = _finished_record(options)
    if finished is not None:
        if world.is_main:
            if options.classifier:
                add_classifier(options, finished, device)
            _remove(options.out / STATE_FOLDER)
        return finished if world.is_main else {}
    world.barrier()  # no rank writes to the folder before all have checked it
    open_folder(options.out)
    torch.set_num_threads(options.threads or available_cpus())
    release = find_release_folder(options.model)
    config = read_config(release.config)
    tokenizer = Tokenizer(release.tokenizer, config.text.context_length)
    data = read_rows(options)
    _describe(data, say)
    prompts = trained_prompts(options, data) if options.classifier else None
    autocast = _autocast(options, device)
    model = _trainable(release, config, tokenizer, options, device)
    trainer = _trainer(options, config, model, tokenizer, data, world, autocast)
    base_sha256 = release.weights_sha256()
    fingerprint = fingerprint_of(options, data, base_sha256)
    state_folder = options.out / STATE_FOLDER
    open_folder(state_folder)
    world.barrier()
    is_resumed = options.resume and trainer.resume(state_folder, fingerprint)
    if is_resumed:
        say(f"resuming after step {trainer.progress.step} of {trainer.plan.steps}")
    log = None
    if world.is_main:
        after_step = trainer.progress.step if is_resumed else BEFORE_TRAINING
        log = TrainingLog(options.out, after_step=after_step, tensorboard=options.tensorboard)
    trainer.run(log, state_folder, fingerprint)
    record: dict[str, Any] = {}
    if log:
        log.close()
        trainer.take_best()
        save_model(trainer.result, options.out, config=release.config, tokenizer=release.tokenizer)
        if prompts:
            write_classifier(options, prompts, device)
        draw_curves(log.records, options.out / CURVES_FILE)
        record = record_of(options, release, base_sha256, fingerprint, data, trainer, log)
        text = json.dumps(record, indent=2)
        # Last: a training with a record is finished.
        write_file(options.out / RECORD_FILE, lambda partial: partial.write_text(text, encoding="utf-8"))
        _remove(state_folder)
    world.barrier()
    return record


def _remove(state_folder: Path) -> None:
    """Remove the state of a finished training. What a killed process leaves of it, the next resumption removes."""
    shutil.rmtree(state_folder, ignore_errors=True)


def _describe(data: TrainingRows, say: Callable[[str], object]) -> None:
    for use, manifest in (("training", data.train), ("validation", data.val)):
        if manifest:
            left_out = f", {len(manifest.bad_rows)} bad rows left out" if manifest.bad_rows else ""
            say(f"{manifest.path.name}: {len(manifest.rows)} {use} rows{left_out}")
            for bad in manifest.bad_rows[:MOST_LISTED]:
                say(f"  row {bad.number}: {bad.reason}")
            if len(manifest.bad_rows) > MOST_LISTED:
                say(f"  and {len(manifest.bad_rows) - MOST_LISTED} more; {RECORD_FILE} will list all of them")
    if data.shared_groups:
        say(
            f"{len(data.shared_groups)} groups have both training and validation rows: "
            "the validation will look better than it is"
        )


def _finished_record(options: FinetuneOptions) -> dict[str, Any] | None:
    """The content of `training.json` if the training to resume is already finished, otherwise None.

    Raises:
        TrainingError: without `resume`, the folder holds an interrupted training or a model.
    """
    record = options.out / RECORD_FILE
    if options.resume:
        if record.is_file():
            finished: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
            return finished
        return None
    if (options.out / STATE_FOLDER).exists():
        raise TrainingError(f"{options.out} holds an interrupted training; add --resume, or name another folder")
    if (options.out / CONFIG_FILE).exists() or (options.out / "vision_model").exists():
        raise TrainingError(f"{options.out} already holds a model; name another folder")
    return None


def _autocast(options: FinetuneOptions, device: torch.device) -> torch.dtype | None:
    """The dtype of mixed precision; None for float32."""
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
    """The model in train mode, with the options on drop path, frozen parameters and checkpointing applied."""
    if options.drop_path is not None:
        config = replace(config, image=replace(config.image, drop_path_rate=options.drop_path))
    if options.gradient_checkpointing and device.type == "mps" and config.image.drop_path_rate:
        # torch's checkpoint saves no random state of MPS: the second pass would drop other blocks.
        raise TrainingError("on MPS, gradient_checkpointing needs drop_path 0; or use chunk_size instead")
    model = load_model(release.weights, config, tokenizer.vocabulary_size, device=device, dtype=torch.float32)
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()  # the loaded weights are a read-only map of the file
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
        rendering=options.preprocessing.rendering,
        cache_pixels=options.cache_pixels,
        strict=options.strict,
    )
    if options.cache_pixels and options.workers:
        training_set.fill_cache()  # before the loading processes start, so that they share it
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
            preprocessing=options.preprocessing,
            cache_pixels=options.cache_pixels,
            threads=available_cpus(),
        )
    return Trainer(options, model, training_set, batch_texts, normalise, validation, world, autocast)
