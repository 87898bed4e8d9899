# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What training adds to token prediction: checked data, the curriculum, and what a step computes and logs."""

import math

from lightning.pytorch import Callback
from torch import Tensor

from nemo.collections.asr.data.loading import CountBadAudio, rider_of, wrapped_loader
from nemo.collections.asr.losses.ssl_losses.masked_decoding import decode_masked
from nemo.collections.asr.losses.ssl_losses.mlm import MAX_STEPS_APART, mlm_loss_of, read_log_probs
from nemo.collections.asr.metrics import token_predictions
from nemo.collections.asr.metrics.token_predictions import TokenPredictionMetrics
from nemo.collections.asr.models.objectives import require_unheard
from nemo.collections.asr.models.token_prediction_checkpoints import TokenPredictionCheckpoints
from nemo.collections.asr.models.token_prediction_freezing import FreezeUntrained
from nemo.collections.asr.parts.contexts.curriculum import curriculum_of_config
from nemo.collections.asr.parts.manifests import check_on_ranks, raise_on_all_ranks
from nemo.collections.asr.parts.nonfinite import nonfinite_of_config, skips_scheduler, step_was_skipped
from nemo.collections.asr.parts.resume import resume_of_config, resumed_loader
from nemo.collections.asr.parts.utils.resolved_features import Features, Signals


class TokenPredictionTraining(TokenPredictionCheckpoints):
    """The steps of a model that predicts tokens; a base class of it, before NeMo's.

    The model says with `_signals` what a batch means for `forward`, with `_noisy_and_clean` and `_encode` what
    `forward` is without the decoder, and with `_decodes_masked_only` whether only steps in the loss may be decoded.
    Its `objective` says what is masked, which tokens each encoder step answers for, and what is counted.
    """

    _unreadable_audio = ""  # what rank 0 has found, until it can tell the others

    def _setup_dataloader_from_config(self, config: dict | None):
        on_bad_audio = self.cfg.get("on_bad_audio")
        self._unreadable_audio += check_on_ranks(config, on_bad_audio, self._trainer)
        loader = super()._setup_dataloader_from_config(config)
        return wrapped_loader(loader, config, on_bad_audio, named=self.cfg.get("on_nonfinite") is not None)

    def setup(self, stage: str | None = None):
        """Lightning's hook: here all ranks are there, and fail together if one has found bad data."""
        super().setup(stage)
        unreadable, self._unreadable_audio = self._unreadable_audio, ""
        raise_on_all_ranks(unreadable, self._trainer)
        if stage == "fit":
            require_unheard(self.objective, self)

    def configure_callbacks(self) -> list[Callback]:
        """Lightning's hook: adds the curriculum that `cfg.curriculum_context` asks for, and exact resuming."""
        others = super().configure_callbacks()
        others = [*([others] if isinstance(others, Callback) else others), FreezeUntrained()]
        on_bad_audio = self.cfg.get("on_bad_audio")
        counting = [] if on_bad_audio is None else [CountBadAudio(on_bad_audio)]
        others += [*counting, *curriculum_of_config(self), *resume_of_config(self)]
        return [*others, *nonfinite_of_config(self)]

    def lr_scheduler_step(self, scheduler, metric):
        """Lightning's hook: a step that was skipped does not change the learning rate."""
        if not skips_scheduler(self.trainer, scheduler):
            super().lr_scheduler_step(scheduler, metric)

    def configure_gradient_clipping(self, *args, **kwargs):
        """Lightning's hook: a step that is skipped has no gradients to clip."""
        if not step_was_skipped(self.trainer):
            super().configure_gradient_clipping(*args, **kwargs)

    def train_dataloader(self):
        """Lightning's hook: the data in the order of `cfg.seed`, at the place where a resumed run goes on."""
        return resumed_loader(self, super().train_dataloader())

    def _prepare_logging(self):
        """Makes what is counted; to be called when the model is built."""
        self.train_metrics, self.val_metrics = self._new_metrics(), self._new_metrics()
        self._collapse_warning = token_predictions.CollapseWarning()

    def _new_metrics(self) -> TokenPredictionMetrics | None:
        """None for a quantizer of a fork that does not say how many tokens it knows."""
        sizes = [getattr(self.quantizer, name, None) for name in ("num_classes", "num_books")]
        return self.objective.new_metrics(*sizes) if all(isinstance(size, int) for size in sizes) else None

    def training_step(self, batch, batch_idx=0):
        """Lightning's hook: the loss, and what is logged at each step."""
        is_empty = rider_of(batch).is_empty
        loss = self._loss_of(batch, apply_mask=True, metrics=None if is_empty else self.train_metrics)
        if is_empty:
            loss = 0.0 * loss  # computed all the same, because the other ranks wait for its gradients
        self._log_progress(loss)
        logs = {
            "learning_rate": self._optimizer.param_groups[0]["lr"],
            "global_step": self.trainer.global_step,
            "train_loss": loss,
        }
        return {"loss": loss, "log": logs}

    def inference_pass(self, batch, batch_idx=0, dataloader_idx=0, mode="val", apply_mask=False):
        """The loss of a validation or test batch."""
        is_empty = rider_of(batch).is_empty
        metrics = self.val_metrics if mode == "val" and not is_empty else None
        return {f"{mode}_loss": self._loss_of(batch, apply_mask, metrics), **({"is_empty": True} if is_empty else {})}

    def on_train_epoch_end(self):
        """Logs what was counted over the epoch, over all ranks."""
        super().on_train_epoch_end()
        self._warn_of_collapse()
        if self.train_metrics is not None:
            self.log_dict(self.train_metrics.pop("train"))

    def on_validation_epoch_end(self, sync_metrics: bool = True):
        """Lightning's hook: `val_loss`, by which checkpoints are chosen, is the mean over ranks."""
        return super().on_validation_epoch_end(sync_metrics=sync_metrics)

    def multi_validation_epoch_end(self, outputs, dataloader_idx: int = 0):
        """Adds what was counted to the logs; with several data loaders, over all since the last."""
        outputs = [x for x in outputs if not (isinstance(x, dict) and x.get("is_empty"))] or outputs
        results = super().multi_validation_epoch_end(outputs, dataloader_idx)
        if self.val_metrics is not None:
            results.setdefault("log", {}).update(self.val_metrics.pop("val"))
        return results

    def _log_progress(self, loss: Tensor):
        """Shows loss and accuracy in the progress bar, and checks the targets once, early in the training."""
        shown = {"bits": loss.detach() / math.log(2)}
        if self.train_metrics is not None:
            shown.update(self.train_metrics.shown())
        self.log_dict(shown, prog_bar=True, logger=False)
        if self.trainer.global_step == token_predictions.COLLAPSE_STEPS:
            self._warn_of_collapse()

    def _warn_of_collapse(self):
        self._collapse_warning.check(self.train_metrics, self.trainer.global_step, self.cfg)

    def _loss_of(self, batch, apply_mask: bool, metrics: TokenPredictionMetrics | None) -> Tensor:
        """The loss of a batch; counts it, except for a fork's own loss, which does not say what is in it."""
        signals, apply_mask = self._signals(batch), apply_mask and self.objective.masks_frames
        mlm_loss, answers_of = mlm_loss_of(self.loss), self.objective.answers
        if self._decodes_masked_only():
            noisy, clean = self._noisy_and_clean(signals)
            encoded, *others = self._encode(noisy, clean, apply_mask)
            answers = answers_of(mlm_loss, encoded.transpose(1, 2), *others, self._token_lengths(clean))
            predictions = decode_masked(self.decoder, encoded, answers.targets, answers.in_loss)
            loss = predictions.loss
        else:
            outputs, token_lengths = self._outputs(signals, apply_mask)
            if mlm_loss is None:
                return self.objective.loss(self.loss, outputs)
            answers = answers_of(mlm_loss, *outputs, token_lengths)
            predictions = read_log_probs(outputs[0], answers.targets, answers.in_loss)
            loss = self.objective.loss(self.loss, outputs, predictions)
        if metrics is not None:
            metrics.update(predictions, answers.tokens, answers.lengths)
        return loss

    def _outputs(self, signals: Signals, apply_mask: bool) -> tuple[tuple[Tensor, ...], Tensor]:
        """What `forward` returns, and how many tokens lie within each utterance, (B,)."""
        if not self._forward_is_known():
            # of a fork's own, the lengths of the utterances are known in encoder steps only
            outputs = self.forward(**signals, apply_mask=apply_mask)
            return outputs, outputs[1] - MAX_STEPS_APART
        noisy, clean = self._noisy_and_clean(signals)
        return self._decode(*self._encode(noisy, clean, apply_mask)), self._token_lengths(clean)

    def _token_lengths(self, clean: Features) -> Tensor:
        """How many tokens all of whose frames lie within the utterance, (B,), features make with `pre_conv`."""
        return clean.lengths // getattr(self.quantizer, "combine_time_steps", self._subsampling_factor())
