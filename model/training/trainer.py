"""Training loop: steps, moving average, metrics, validation, and the state that a training resumes from."""

import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.amp.grad_scaler import GradScaler
from tqdm import tqdm

from model.encoders.medimageinsight import MedImageInsight
from model.errors import TrainingError, TrainingInterrupted
from model.training.batches.loader import Batch, Normaliser, TextBatcher, load_batches
from model.training.batches.sampling import BatchSampler, batch_shares, derived_seed, strata_of
from model.training.batches.training_set import TrainingSet
from model.training.contrastive_step import ContrastiveStep
from model.training.distributed import World
from model.training.optimisation import MovingAverage, build_optimizer, clamp_logit_scale, schedule, set_learning_rate
from model.training.options import FinetuneOptions, Plan
from model.training.outputs.log import Interval, TrainingLog
from model.training.outputs.state import STATE_FILE, Progress, load_state, load_weights, save_state, trained_weights
from model.training.stopping import stopping_on_signals
from model.training.validation import Validation


class Trainer:
    """One training, on one or several processes.

    Args:
        options: the options of the training.
        model: model in train mode, on its device, with the parameters of `options.freeze` frozen.
        training_set: the training rows.
        batch_texts: converts texts to the text encoder's input.
        normalise: converts pixels to the image encoder's input.
        validation: the validation rows; None for no validation.
        world: the processes of the training.
        autocast: dtype of mixed precision; None for float32.

    Raises:
        TrainingError: the options of the sampling or of the learning rates do not fit the rows or the model.
    """

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
        if options.shares and not options.sample_by:
            raise TrainingError("shares need sample_by, the column of their values")
        self.options, self.model, self.world, self.validation = options, model, world, validation
        self.plan = Plan.of(options, len(training_set.rows))
        self.progress = Progress()
        self._strata = strata_of(training_set.rows, options.sample_by)
        self.shares = batch_shares(self._strata, options.shares)
        self.average = MovingAverage(model, options.ema) if options.ema else None
        self._training_set, self._batch_texts, self._normalise = training_set, batch_texts, normalise
        self._autocast, self._device = autocast, model.logit_scale.device
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
    def result(self) -> MedImageInsight:
        """The model to evaluate and save: the moving average, or the trained model if there is no average."""
        return self.average.model if self.average else self.model

    def resume(self, folder: Path, fingerprint: str) -> bool:
        """Load the state in `folder`. Returns False if there is none.

        Raises:
            TrainingError: the state is unreadable or belongs to another training.
        """
        if not (folder / STATE_FILE).is_file():
            return False
        self.progress = load_state(folder, fingerprint, self.model, self.average, self._optimizer, self._scaler)
        return True

    def take_best(self) -> None:
        """Give `result` the weights of the best validation, if they are kept."""
        if self.progress.best_weights is not None:
            load_weights(self.progress.best_weights, self.result)

    def run(self, log: TrainingLog | None, folder: Path, fingerprint: str) -> None:
        """Train until the last step.

        Args:
            log: log of the metrics on the main rank; None on the other ranks.
            folder: folder of the state.
            fingerprint: identity of the training; only a training with the same one can resume the state.

        Raises:
            TrainingInterrupted: SIGTERM or Ctrl-C was received; the state is saved.
            TrainingError: the loss or the gradient is not finite.
            OutputError: the log or the state cannot be written.
        """
        step = ContrastiveStep(
            self.model,
            self.world,
            chunk_size=self.options.chunk_size,
            recompute=self.options.recompute,
            autocast=self._autocast,
            scaler=self._scaler,
        )
        with stopping_on_signals() as stopping, self._progress_bar() as bar:
            if self.validation and self.progress.step == 0:
                self._measure(self.validation, log, bar)  # the model before the training
            start = time.perf_counter()
            for batch in self._batches():
                loss, norm = self._step(step, batch)
                bar.update()
                bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
                start, seconds = time.perf_counter(), time.perf_counter() - start
                self.progress.interval.add(loss, norm, self.options.batch_size, seconds)
                self._log_and_validate(log, bar)
                stop = self._synchronise(stopping.is_set(), batch.unreadable)
                if log and (stop or self._is_due(self.plan.save_every)):
                    log.flush()
                    save_state(
                        folder, fingerprint, self.progress, self.model, self.average, self._optimizer, self._scaler
                    )
                if stop and self.progress.step < self.plan.steps:
                    raise TrainingInterrupted(
                        f"stopped after step {self.progress.step} of {self.plan.steps}; continue with --resume"
                    )

    def _log_and_validate(self, log: TrainingLog | None, bar: Any) -> None:
        if self._is_due(self.options.log_every):
            if log:
                log.write(self.progress.step, self._metrics())
            self.progress.interval = Interval()
        if self.validation and self._is_due(self.plan.eval_every):
            self._validate(self.validation, log, bar)

    def _is_due(self, every: int) -> bool:
        return self.progress.step % every == 0 or self.progress.step == self.plan.steps

    def _progress_bar(self) -> Any:
        start, hidden = self.progress.step, not self.world.is_main
        return tqdm(total=self.plan.steps, initial=start, desc="training", unit="step", disable=hidden)

    def _batches(self) -> Iterator[Batch]:
        sampler = BatchSampler(
            self._strata,
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
        """One step. Returns the loss and the norm of the gradient."""
        start = time.perf_counter()
        options, progress = self.options, self.progress
        share = schedule(
            progress.step, steps=self.plan.steps, warmup_steps=options.warmup_steps, minimum=options.min_learning_rate
        )
        set_learning_rate(self._optimizer, share)
        torch.manual_seed(derived_seed(options.seed, "step", progress.step, self.world.rank))
        loss = self._backward(step, batch)
        norm = self._update()
        progress.step += 1
        if self.average:
            self.average.update(progress.step)
        progress.seconds += time.perf_counter() - start
        return loss, norm

    def _backward(self, step: ContrastiveStep, batch: Batch) -> float:
        """Compute the gradients. Returns the loss."""
        texts, text_of = torch.unique(batch.texts, return_inverse=True)
        token_ids = self._batch_texts([self._training_set.texts[number] for number in texts])
        input_ids, attention_mask, text_of, labels, numbers = (
            tensor.to(self._device) for tensor in (*token_ids, text_of, batch.labels, batch.texts)
        )
        loss = float(step(self._normalise(batch.pixels), input_ids, attention_mask, text_of, labels, numbers))
        if not math.isfinite(loss):
            raise TrainingError(f"the loss is {loss} at step {self.progress.step + 1}; lower the learning rate")
        return loss

    def _update(self) -> float:
        """Clip the gradients and update the weights. Returns the norm of the gradient before clipping."""
        if self._scaler:
            self._scaler.unscale_(self._optimizer)
        norm = float(torch.nn.utils.clip_grad_norm_(self._trained, self.options.gradient_clip or float("inf")))
        if self._scaler:
            self._scaler.step(self._optimizer)  # skips the step if float16 overflowed
            self._scaler.update()
        elif not math.isfinite(norm):
            raise TrainingError(f"the gradient is {norm} at step {self.progress.step + 1}; lower the learning rate")
        else:
            self._optimizer.step()
        self._optimizer.zero_grad()
        clamp_logit_scale(self.model)
        return norm

    def _synchronise(self, stopping: bool, unreadable: tuple[int, ...]) -> bool:
        """Record the unreadable rows of all ranks. Returns whether any rank received a signal to stop."""
        ranks = self.world.gather_objects((stopping, unreadable))
        rows = {row for _, numbers in ranks for row in numbers}
        if rows - set(self.progress.unreadable_rows):
            self.progress.unreadable_rows = sorted(rows | set(self.progress.unreadable_rows))
        return any(stop for stop, _ in ranks)

    def _metrics(self) -> dict[str, float]:
        return {
            "epoch": round(self.progress.step / self.plan.steps_per_epoch, 4),
            **self.progress.interval.means(),
            "learning_rate": self._optimizer.param_groups[0]["lr"],
            "logit_scale": round(self.model.logit_scale.item(), 5),
            "unreadable_rows": len(self.progress.unreadable_rows),
        }

    def _measure(self, validation: Validation, log: TrainingLog | None, bar: Any) -> dict[str, float]:
        """Compute the metrics of the validation rows, and log them."""
        was_training = self.result.training
        metrics = validation(self.result.eval(), self._autocast)
        self.result.train(was_training)
        if log:
            log.write(self.progress.step, metrics)
            shown = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
            bar.write(f"step {self.progress.step}: {shown}", file=sys.stderr)
        return metrics

    def _validate(self, validation: Validation, log: TrainingLog | None, bar: Any) -> None:
        metrics = self._measure(validation, log, bar)
        score = metrics.get("val_balanced_accuracy", -metrics["val_loss"])
        if score > self.progress.best_score:
            self.progress.best_score, self.progress.best_step = score, self.progress.step
            if self.options.keep_best and self.world.is_main:
                best = trained_weights(self.result, self.model)
                self.progress.best_weights = {name: tensor.to("cpu", copy=True) for name, tensor in best.items()}
