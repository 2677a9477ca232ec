"""The training loop: steps, moving average, metrics, and a state to resume from."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.amp.grad_scaler import GradScaler
from tqdm import tqdm

from model.encoders.medimageinsight import MedImageInsight
from model.errors import TrainingError, TrainingInterrupted
from model.training.batches.loader import Batch, Normaliser, TextBatcher, TrainingSet, load_batches
from model.training.batches.sampling import BatchSampler, batch_shares, derived_seed
from model.training.contrastive_step import ContrastiveStep
from model.training.distributed import World
from model.training.log import Interval, TrainingLog
from model.training.optimisation import MovingAverage, build_optimizer, clamp_logit_scale, schedule, set_learning_rate
from model.training.options import FinetuneOptions
from model.training.state import STATE_FILE, Progress, load_state, save_state
from model.training.stopping import stopping_on_signals
from model.training.validation import Validation

SaveBest = Callable[[MedImageInsight], object]


@dataclass(frozen=True)
class Plan:
    """How long, and how often what."""

    steps: int
    steps_per_epoch: float
    eval_every: int
    save_every: int

    @classmethod
    def of(cls, options: FinetuneOptions, row_count: int) -> "Plan":
        per_epoch = row_count / options.batch_size
        every = max(1, round(per_epoch))
        steps = options.steps or max(1, round(options.epochs * per_epoch))
        return cls(steps, per_epoch, options.eval_every or every, options.save_every or every)


class Trainer:
    """One training, on one or several processes."""

    def __init__(
        self,
        options: FinetuneOptions,
        model: MedImageInsight,
        training_set: TrainingSet,
        batch_texts: TextBatcher,
        normalise: Normaliser,
        validation: Validation | None,
        world: World,
        autocast: torch.dtype | None,
    ) -> None:
        """Args:
        options: what was asked for.
        model: on its device, in train mode, frozen where `options.freeze` says so.
        training_set: the rows that are learned from.
        batch_texts, normalise: make the encoders' input.
        validation: held-out rows, or None.
        world: the processes that take part.
        autocast: the dtype of mixed precision, or None.
        """
        self.options, self.model, self.world, self.validation = options, model, world, validation
        self.plan = Plan.of(options, len(training_set.rows))
        self.progress = Progress()
        self.shares = batch_shares(*self._strata(options, training_set))
        self.average = MovingAverage(model, options.ema) if options.ema else None
        self._training_set, self._batch_texts, self._normalise = training_set, batch_texts, normalise
        self._autocast = autocast
        self._device = model.logit_scale.device
        self._optimizer = build_optimizer(
            model,
            learning_rate=options.learning_rate,
            weight_decay=options.weight_decay,
            betas=options.betas,
            learning_rates=options.learning_rates,
        )
        self._trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._scaler = GradScaler(self._device.type) if autocast == torch.float16 else None

    @property
    def best_model(self) -> MedImageInsight:
        """The model that is evaluated and saved."""
        return self.average.model if self.average else self.model

    def resume(self, folder: Path, fingerprint: str) -> bool:
        """Take up the state in `folder`; False if there is none.

        Raises:
            TrainingError: see `load_state`.
        """
        if not (folder / STATE_FILE).is_file():
            return False
        self.progress = load_state(folder, fingerprint, self.model, self.average, self._optimizer, self._scaler)
        return True

    def run(self, log: TrainingLog | None, folder: Path, fingerprint: str, save_best: SaveBest) -> None:
        """Train until the last step.

        Args:
            log: where metrics go; None on all ranks but the main one.
            folder: where the state is kept.
            fingerprint: what the state must agree with when it is resumed.
            save_best: called with the model whenever its validation is the best so far.

        Raises:
            TrainingInterrupted: SIGTERM or Ctrl-C came; the state is saved.
            TrainingError: the loss is no longer finite.
        """
        step = ContrastiveStep(
            self.model,
            self.world,
            chunk_size=self.options.chunk_size,
            recompute=self.options.recompute,
            autocast=self._autocast,
            scaler=self._scaler,
        )
        interval = Interval()
        with (
            stopping_on_signals() as stopping,
            tqdm(
                total=self.plan.steps,
                initial=self.progress.step,
                desc="training",
                unit="step",
                disable=not self.world.is_main,
            ) as bar,
        ):
            for batch in self._batches():
                loss, norm = self._step(step, batch)
                interval.add(loss, norm, self.options.batch_size)
                done = self.progress.step
                bar.update()
                bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
                if log and (done % self.options.log_every == 0 or done == self.plan.steps):
                    log.write(done, self._metrics(interval))
                    interval = Interval()
                if self.validation and (done % self.plan.eval_every == 0 or done == self.plan.steps):
                    self._validate(log, save_best, bar)
                stop = self._heed(stopping.is_set(), batch.unreadable)
                if stop or done % self.plan.save_every == 0 or done == self.plan.steps:
                    self._save(folder, fingerprint)
                if stop and done < self.plan.steps:
                    raise TrainingInterrupted(f"stopped after step {done} of {self.plan.steps}: go on with --resume")

    def _strata(self, options: FinetuneOptions, training_set: TrainingSet) -> tuple[list[str], dict[str, float]]:
        if not options.sample_by:
            if options.shares:
                raise TrainingError("shares need sample_by, the column whose values they are for")
            return [""] * len(training_set.rows), {}
        column = options.sample_by
        strata = [row.label if column == "label" else row.columns.get(column, "") for row in training_set.rows]
        if not any(strata):
            raise TrainingError(f"no row has anything in the column {column!r} that is to be sampled by")
        return strata, dict(options.shares)

    def _batches(self) -> Iterator[Batch]:
        sampler = BatchSampler(
            self._strata(self.options, self._training_set)[0],
            self.shares,
            batch_size=self.options.batch_size,
            steps=self.plan.steps,
            seed=self.options.seed,
            start=self.progress.step,
            rank=self.world.rank,
            ranks=self.world.size,
        )
        pin_memory = self._device.type == "cuda"
        yield from load_batches(self._training_set, sampler, workers=self.options.workers, pin_memory=pin_memory)

    def _step(self, step: ContrastiveStep, batch: Batch) -> tuple[float, float]:
        start = time.perf_counter()
        options, progress = self.options, self.progress
        share = schedule(
            progress.step, steps=self.plan.steps, warmup_steps=options.warmup_steps, minimum=options.min_learning_rate
        )
        set_learning_rate(self._optimizer, share)
        torch.manual_seed(derived_seed(options.seed, "step", progress.step, self.world.rank))
        texts, text_of = torch.unique(batch.texts, return_inverse=True)
        token_ids = self._batch_texts([self._training_set.texts[number] for number in texts])
        input_ids, attention_mask, text_of, labels, numbers = (
            tensor.to(self._device) for tensor in (*token_ids, text_of, batch.labels, batch.texts)
        )
        loss = float(step(self._normalise(batch.pixels), input_ids, attention_mask, text_of, labels, numbers))
        if not math.isfinite(loss):
            raise TrainingError(f"the loss is {loss} at step {progress.step + 1}: lower the learning rate")
        if self._scaler:
            self._scaler.unscale_(self._optimizer)
        norm = float(torch.nn.utils.clip_grad_norm_(self._trained, options.gradient_clip or float("inf")))
        if self._scaler:
            self._scaler.step(self._optimizer)  # left out where float16 overflowed
            self._scaler.update()
        elif not math.isfinite(norm):
            raise TrainingError(f"the gradient is {norm} at step {progress.step + 1}: lower the learning rate")
        else:
            self._optimizer.step()
        self._optimizer.zero_grad()
        clamp_logit_scale(self.model)
        progress.step += 1
        if self.average:
            self.average.update(progress.step)
        progress.seconds += time.perf_counter() - start
        return loss, norm

    def _heed(self, stopping: bool, unreadable: tuple[int, ...]) -> bool:
        """Note all ranks' unreadable rows; whether any rank was told to stop."""
        told = self.world.gather_objects((stopping, unreadable))
        rows = {row for _, numbers in told for row in numbers}
        if rows - set(self.progress.unreadable_rows):
            self.progress.unreadable_rows = sorted(rows | set(self.progress.unreadable_rows))
        return any(stop for stop, _ in told)

    def _metrics(self, interval: Interval) -> dict[str, float]:
        return {
            "epoch": round(self.progress.step / self.plan.steps_per_epoch, 4),
            **interval.means(),
            "learning_rate": self._optimizer.param_groups[0]["lr"],
            "logit_scale": round(self.model.logit_scale.item(), 5),
            "unreadable_rows": len(self.progress.unreadable_rows),
        }

    def _validate(self, log: TrainingLog | None, save_best: SaveBest, bar: Any) -> None:
        if self.validation is None:
            return
        model = self.best_model
        was_training = model.training
        metrics = self.validation(model.eval(), self._autocast)
        model.train(was_training)
        score = metrics.get("val_balanced_accuracy", -metrics["val_loss"])
        if score > self.progress.best_score:
            self.progress.best_score, self.progress.best_step = score, self.progress.step
            if self.options.keep_best and self.world.is_main:
                save_best(model)
        if log:
            log.write(self.progress.step, metrics)
            shown = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
            bar.write(f"step {self.progress.step}: {shown}", file=sys.stderr)

    def _save(self, folder: Path, fingerprint: str) -> None:
        if self.world.is_main:
            save_state(folder, fingerprint, self.progress, self.model, self.average, self._optimizer, self._scaler)
