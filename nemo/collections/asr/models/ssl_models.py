# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Models that learn speech by predicting tokens; their training steps are in `token_prediction_training`."""

import inspect
from contextlib import nullcontext

import torch
from lightning.pytorch import Trainer
from omegaconf import DictConfig
from torch import Tensor

from nemo.collections.asr.data import ssl_dataset
from nemo.collections.asr.data.audio_to_text_dali import DALIOutputs
from nemo.collections.asr.losses.ssl_losses.masked_decoding import can_decode_masked
from nemo.collections.asr.losses.ssl_losses.mlm import mlm_loss_of
from nemo.collections.asr.models import _ssl_models_base as base
from nemo.collections.asr.models.objectives import objective_of_config
from nemo.collections.asr.models.token_prediction_training import TokenPredictionTraining
from nemo.collections.asr.modules.ssl_modules.masking import mask_features
from nemo.collections.asr.modules.ssl_modules.quantizers import normalize_per_feature
from nemo.collections.asr.parts.contexts import SavesContexts, attention_contexts, tightest_left
from nemo.collections.asr.parts.utils import ssl_config
from nemo.collections.asr.parts.utils.resolved_features import Features, Signals, resolve_features
from nemo.core.classes.common import typecheck
from nemo.core.neural_types import LengthsType, NeuralType, SpectrogramType
from nemo.utils.option_checks import read_option
from nemo.utils.shadowing import inherit_module

REPLACED = ("SpeechEncDecSelfSupervisedModel", "EncDecMaskedTokenPredModel", "EncDecDenoiseMaskedTokenPredModel")
inherit_module(base, globals(), replacing=REPLACED)


class SpeechEncDecSelfSupervisedModel(SavesContexts, base.SpeechEncDecSelfSupervisedModel):
    """NeMo's, whose files keep the attention contexts that are in force."""


class EncDecMaskedTokenPredModel(
    TokenPredictionTraining, SpeechEncDecSelfSupervisedModel, base.EncDecMaskedTokenPredModel
):
    """Prediction of masked or of next tokens, for encoders that stream: the mask knows what they see.

    Source: BEST-RQ (https://arxiv.org/abs/2202.01855); NEST-RQ (https://arxiv.org/abs/2409.08680) for next tokens.

    Args:
        cfg: the model's config. `cfg.masking.context_stride`, where it is left out, is the encoder's subsampling
            factor (`mask_position: pre_conv`) or 1 (`post_conv`). `cfg.hierarchical_context` is handed to the encoder,
            `cfg.curriculum_context` becomes a callback, `cfg.streaming: true` is checked. `cfg.target_normalize:
            per_feature` normalises what targets are made of. `cfg.masked_only_decoding: false` decodes all steps, as
            NeMo does. `cfg.objective`, `cfg.next_tokens`: see `objective_of_config`. docs/configuration.md has all.
        trainer: Lightning's trainer

    Raises:
        ValueError: an unknown option under `cfg.masking`, or one out of its range; a misspelt option of ours; contexts
            that are not valid (see `ContextSchedule`, `ContextCurriculum`); `cfg.streaming: true` for a model that
            looks ahead; another `context_stride` than the encoder's; a manifest that is missing, empty or unreadable.
            While a model is restored, what does not keep it from being built is a warning.
    """

    def __init__(self, cfg: DictConfig, trainer: Trainer = None):
        restoring = self._is_model_being_restored()
        cfg = ssl_config.plain_copy(cfg)
        ssl_config.check_promises(cfg, restoring)
        ssl_config.hand_contexts_to_encoder(cfg)
        ssl_config.check_modules(cfg)
        objective = objective_of_config(cfg, restoring)
        post_conv = ssl_config.is_post_conv(cfg)
        if post_conv:
            ssl_config.prepare_post_conv(cfg, restoring)
        super().__init__(cfg, trainer)
        self.objective = objective
        if post_conv:
            ssl_config.keep_as_given(self.cfg, cfg)
        if hasattr(self.mask_processor, "context_stride"):
            with ssl_config.warning_if(restoring):
                self.mask_processor.context_stride = ssl_config.context_stride(self.cfg, self._subsampling_factor())
        self.target_normalize = read_option("model.target_normalize", cfg)
        self.masked_only_decoding = read_option("model.masked_only_decoding", cfg)
        self.decoder = self.objective.decoder(self.decoder, self.loss, self.cfg.decoder)
        self._prepare_logging()

    def _subsampling_factor(self) -> int:
        """Feature frames per encoder frame; the loss knows it where the encoder does not say."""
        if isinstance(getattr(self.encoder, "pre_encode", None), torch.nn.Linear):
            return 1  # a Conformer without subsampling
        return getattr(self.encoder, "subsampling_factor", getattr(mlm_loss_of(self.loss), "combine_time_steps", 1))

    @property
    def input_types(self) -> dict[str, NeuralType] | None:
        """What `forward` takes."""
        return {**super().input_types, "current_frame": NeuralType(optional=True)}

    @typecheck()
    def forward(
        self,
        input_signal=None,
        input_signal_length=None,
        processed_signal=None,
        processed_signal_length=None,
        apply_mask=False,
        current_frame=None,
    ):
        """Predicts the tokens that the objective asks for.

        Args:
            input_signal: audio of shape (B, samples), or instead
            processed_signal: features of shape (B, D, T)
            input_signal_length, processed_signal_length: valid samples or frames, (B,)
            apply_mask: whether to mask
            current_frame: streaming: the first frame that has not been heard yet, an int or (B,); only frames before
                it, within the encoder's tightest left context, are masked. In feature frames (10 ms) for `pre_conv`,
                in encoder frames for `post_conv`. None masks whole utterances.
        Returns:
            log_probs: (B, T', C, H), or (B, T', C) with one head and `squeeze_single`; H is the number of codebooks
                times that of the predicted tokens, offsets outermost
            encoded_len: valid encoder steps, (B,)
            masks: 1 where masked, (B, D, T) for `pre_conv`, (B, D', T') for `post_conv`
            tokens: of the utterance, (B, T', books), or (B, T')
        """
        signals = dict(
            input_signal=input_signal,
            input_signal_length=input_signal_length,
            processed_signal=processed_signal,
            processed_signal_length=processed_signal_length,
        )
        return self._decode(*self._encode(*self._noisy_and_clean(signals), apply_mask, current_frame))

    def _decodes_masked_only(self) -> bool:
        """True if only steps in the loss are decoded; not where a fork changed `forward`, the loss or the decoder."""
        is_known = self.masked_only_decoding and self._forward_is_known()
        return is_known and can_decode_masked(self.decoder, self.loss)

    def _forward_is_known(self) -> bool:
        """True if `forward` is `_encode`, then the decoder. False if a subclass changed it."""
        forward, *known = (inspect.getattr_static(cls, "forward") for cls in (type(self), *MODELS))
        return forward in known

    def _signals(self, batch) -> Signals:
        """A batch of the data loader as arguments of `forward`."""
        has_features = isinstance(batch, DALIOutputs) and batch.has_processed_signal
        name = "processed_signal" if has_features else "input_signal"
        return {name: batch[0], f"{name}_length": batch[1]}

    def _noisy_and_clean(self, signals: Signals) -> tuple[Features, Features]:
        """Features that are masked and encoded, and features that the tokens are made of: here the same ones."""
        feats = resolve_features(self.preprocessor, signals, "input_signal", "processed_signal")
        return feats, feats

    def mask_features(
        self, feats: Tensor, lengths: Tensor, current_frame: int | Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Masks features with the model's `mask_processor`, within the encoder's tightest left context.

        Args:
            feats: (B, D, T), features for `mask_position: pre_conv`, subsampled ones for `post_conv`
            lengths: valid frames, (B,)
            current_frame: see `forward`
        Returns:
            masked_feats, and masks, 1 where masked; both (B, D, T)
        """
        left_context = tightest_left(attention_contexts(self.encoder))
        return mask_features(self.mask_processor, feats, lengths, current_frame, left_context)

    def _encode(self, noisy: Features, clean: Features, apply_mask: bool, current_frame=None) -> tuple[Tensor, ...]:
        """`forward` without the decoder: encoded (B, D, T'), and what else `forward` returns."""
        self.objective.check_mask(apply_mask)
        if self.pre_encoder is not None:
            return self._encode_post_conv(noisy, clean, apply_mask, current_frame)
        tokens = self._tokens(*clean)
        feats, masks = noisy.feats, torch.zeros_like(noisy.feats)
        if apply_mask:
            feats, masks = self.mask_features(*noisy, current_frame)
        return (*self.encoder(audio_signal=feats, length=noisy.lengths), masks, tokens)

    def _encode_post_conv(self, noisy: Features, clean: Features, apply_mask: bool, current_frame):
        """The same for `mask_position: post_conv`: the encoder itself masks what its subsampling returns."""
        left_context = tightest_left(attention_contexts(self.encoder))
        self.pre_encoder.set_masking_enabled(apply_mask, current_frame, left_context)
        encoded, encoded_len = self.encoder(audio_signal=noisy.feats, length=noisy.lengths)
        if clean is noisy:
            subsampled, lengths = self.pre_encoder.get_current_feat(), self.pre_encoder.get_current_lengths()
        else:
            with torch.no_grad():
                subsampled, lengths = self.pre_encoder.pre_encode(x=clean.feats.transpose(1, 2), lengths=clean.lengths)
        tokens = self._tokens(subsampled.transpose(1, 2), lengths)
        return encoded, encoded_len, self.pre_encoder.get_current_mask(), tokens

    def _decode(self, encoded, *others):
        return (self.decoder(encoder_output=encoded), *others)

    def _tokens(self, feats, lengths):
        """Targets of features (B, D, T), normalised for the quantizer only: the encoder's stay as they are."""
        if self.target_normalize is None:
            return self.quantizer(input_signal=feats)[1]
        # Autocasting would round the quantizer's projection, which gives one token in a hundred another code. What
        # comes from a layer in half precision (`post_conv`) is taken as it is.
        device = feats.device.type
        is_rounded = torch.is_autocast_enabled(device) and feats.dtype == torch.float32
        with torch.autocast(device, enabled=False) if is_rounded else nullcontext():
            return self.quantizer(input_signal=normalize_per_feature(feats, lengths))[1]


class EncDecDenoiseMaskedTokenPredModel(EncDecMaskedTokenPredModel, base.EncDecDenoiseMaskedTokenPredModel):
    """Masked token prediction from noisy audio, of the tokens of the clean audio.

    Source: NEST (https://arxiv.org/abs/2408.13106).
    """

    def inference_pass(self, batch, batch_idx=0, dataloader_idx=0, mode="val", apply_mask=True):
        """The loss of a validation or test batch."""
        return super().inference_pass(batch, batch_idx, dataloader_idx, mode, apply_mask)

    def _signals(self, batch: ssl_dataset.AudioNoiseBatch) -> Signals:
        return {
            "input_signal": batch.audio,
            "input_signal_length": batch.audio_len,
            "noise_signal": batch.noise,
            "noise_signal_length": batch.noise_len,
            "noisy_input_signal": batch.noisy_audio,
            "noisy_input_signal_length": batch.noisy_audio_len,
        }

    def _noisy_and_clean(self, signals: Signals) -> tuple[Features, Features]:
        """Features of the noisy audio, which is masked and encoded, and of the clean audio."""
        _, clean = super()._noisy_and_clean(signals)
        noisy = resolve_features(self.preprocessor, signals, "noisy_input_signal", "processed_noisy_input_signal")
        return noisy, clean

    @property
    def input_types(self) -> dict[str, NeuralType] | None:
        """What `forward` takes."""
        # NeMo's list spells the arguments of its own forward for processed signals differently
        processed = {
            f"processed_{name}": NeuralType(("B", "D", "T"), SpectrogramType(), optional=True)
            for name in ("noise_signal", "noisy_input_signal")
        }
        lengths = {f"{name}_length": NeuralType(tuple("B"), LengthsType(), optional=True) for name in processed}
        return {**super().input_types, **processed, **lengths}

    @typecheck()
    def forward(
        self,
        input_signal=None,
        input_signal_length=None,
        processed_signal=None,
        processed_signal_length=None,
        noise_signal=None,
        noise_signal_length=None,
        processed_noise_signal=None,
        processed_noise_signal_length=None,
        noisy_input_signal=None,
        noisy_input_signal_length=None,
        processed_noisy_input_signal=None,
        processed_noisy_input_signal_length=None,
        apply_mask=False,
        current_frame=None,
    ):
        """Encodes noisy audio, and predicts tokens of the clean one.

        Args:
            input_signal, noisy_input_signal: clean and noisy audio of shape (B, samples), or instead
            processed_signal, processed_noisy_input_signal: their features of shape (B, D, T)
            noise_signal, processed_noise_signal: not used, as in NeMo
            *_length: valid samples or frames, (B,)
            apply_mask, current_frame: see `EncDecMaskedTokenPredModel.forward`
        Returns:
            as `EncDecMaskedTokenPredModel.forward`; the tokens are those of the clean audio
        """
        signals = dict(
            input_signal=input_signal,
            input_signal_length=input_signal_length,
            processed_signal=processed_signal,
            processed_signal_length=processed_signal_length,
            noisy_input_signal=noisy_input_signal,
            noisy_input_signal_length=noisy_input_signal_length,
            processed_noisy_input_signal=processed_noisy_input_signal,
            processed_noisy_input_signal_length=processed_noisy_input_signal_length,
        )
        return self._decode(*self._encode(*self._noisy_and_clean(signals), apply_mask, current_frame))


MODELS = (EncDecMaskedTokenPredModel, EncDecDenoiseMaskedTokenPredModel)
