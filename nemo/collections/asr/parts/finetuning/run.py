# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""A fine-tuning run: what is checked before it, the model that it trains, and what watches it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from omegaconf import DictConfig

from nemo.collections.asr.data.loading import CountBadAudio, wrap_loaders
from nemo.collections.asr.parts.contexts import ContextCurriculum
from nemo.collections.asr.parts.finetuning.checkpoint import load_into, read_pretrained
from nemo.collections.asr.parts.finetuning.freezing import FreezeEncoder
from nemo.collections.asr.parts.finetuning.inheritance import DATA, inherit, is_transducer
from nemo.collections.asr.parts.finetuning.transcripts import Transcripts, read_transcripts
from nemo.collections.asr.parts.finetuning.validation import BlankShare, ShowErrorRate
from nemo.collections.asr.parts.finetuning.vocabulary import check_vocabulary, set_vocabulary, warn_of_unknown
from nemo.collections.asr.parts.lookahead import report_lookahead, require_streaming
from nemo.collections.asr.parts.manifests import check_on_ranks, raise_on_all_ranks
from nemo.collections.asr.parts.resume import ExactResume
from nemo.collections.asr.parts.utils.ssl_config import check_modules, check_own_keys, hand_contexts_to_encoder
from nemo.utils import logging
from nemo.utils.config_targets import class_of_target
from nemo.utils.get_rank import is_global_rank_zero
from nemo.utils.option_checks import read_option

MODELS = "nemo.collections.asr.models"
# by whether it is an RNN-T model, and whether it has a tokenizer
CLASSES = {
    (False, False): f"{MODELS}.EncDecCTCModel",
    (False, True): f"{MODELS}.EncDecCTCModelBPE",
    (True, False): f"{MODELS}.EncDecRNNTModel",
    (True, True): f"{MODELS}.EncDecRNNTBPEModel",
}
# NeMo's schedulers that give all groups of parameters the rate of the first one, or one that is no group's
ONE_RATE = ("WarmupAnnealing", "T5InverseSquareRootAnnealing")


class FineTuning:
    """Trains a recogniser whose encoder comes from a pretrained model.

        finetuning = FineTuning(cfg, trainer)  # every check; nothing is written
        model = finetuning.build(folder)       # NeMo's model with the pretrained weights

    Args:
        cfg: as `finetune_streaming_ctc.yaml`: `pretrained`, `freeze_encoder_steps` and `model`, which is completed in
            place
        trainer: Lightning's, which gets the callbacks that belong to the run when the model is built

    Raises:
        ValueError: naming option and values: a misspelt option of ours; a file that is no `.nemo` file; a config that
            contradicts it; a model that cannot stream, unless `model.streaming` is false; manifests that are missing,
            damaged or without texts; a tokenizer that is not there; rates that the scheduler does not keep.
    """

    def __init__(self, cfg: DictConfig, trainer: Trainer | None = None):
        self.cfg = cfg
        self.trainer: Any = trainer
        check_own_keys(cfg.model)
        self.on_bad_audio = read_option("model.on_bad_audio", cfg.model)
        self.freezing = FreezeEncoder(cfg.get("freeze_encoder_steps") or 0)
        self.curriculum = ContextCurriculum.from_config(cfg.model.get("curriculum_context"))
        check_rates(cfg.model)
        self.pretrained = read_pretrained(cfg.pretrained.path)
        other = read_option("pretrained.other_contexts", cfg.pretrained)
        inherit(cfg.model, self.pretrained, bool(other))
        hand_contexts_to_encoder(cfg.model)
        check_modules(cfg.model)
        require_streaming(cfg.model)
        self._unreadable = ""
        self.transcripts = self._checked_data()
        check_vocabulary(cfg.model, self.transcripts["train_ds"])

    def build(self, folder: Path) -> LightningModule:
        """The model, with the pretrained weights; the trainer gets `callbacks()`. To be called once.

        Args:
            folder: of the run; a tokenizer that is trained goes into `tokenizer/` there

        Raises:
            ValueError: a weight does not fit, see `load_into`; see `set_vocabulary`
        """
        cfg = self.cfg.model
        set_vocabulary(cfg, self.transcripts["train_ds"], Path(folder))
        for name, transcripts in self.transcripts.items():
            warn_of_unknown(cfg, name, transcripts)
        path = cfg.get("target") or CLASSES[is_transducer(cfg), "tokenizer" in cfg]
        model = class_of_target("model.target", path)(cfg=cfg, trainer=self.trainer)
        wrap_loaders(model, cfg, self.on_bad_audio)
        report = load_into(model, self.pretrained)
        self.pretrained.weights.clear()  # the model has them now
        if is_global_rank_zero():
            logging.info(str(report))
            logging.info(_lookahead(cfg))
        if self.trainer is not None:
            self.trainer.callbacks[:0] = self.callbacks()
        return model

    def callbacks(self) -> list[Callback]:
        """What belongs to the run: stops, bad audio, freezing, the word error rate, blanks of CTC, a curriculum."""
        callbacks: list[Callback] = [_DataOfAllRanks(self._unreadable), ShowErrorRate(), ExactResume()]
        if self.on_bad_audio is not None:
            callbacks.append(CountBadAudio(self.on_bad_audio, of_nemo=True))
        if self.freezing.steps:
            callbacks.append(self.freezing)
        if not is_transducer(self.cfg.model):
            callbacks.append(BlankShare())
        return callbacks if self.curriculum is None else [*callbacks, self.curriculum]

    def _checked_data(self) -> dict[str, Transcripts]:
        """Checks manifests and texts, as far as there are any."""
        found = {}
        for name in DATA:
            config: Any = self.cfg.model.get(name)
            if config is None or config.get("manifest_filepath") is None:
                continue
            self._unreadable += check_on_ranks(config, self.on_bad_audio, self.trainer)
            found[name] = read_transcripts(name, config)
        found.setdefault("train_ds", Transcripts([], complete=False))
        return found


def check_rates(model: Mapping) -> None:
    """Checks that `model.optim_param_groups` is kept by the scheduler, and names parts that have a rate.

    Raises:
        ValueError: the scheduler gives all groups one rate; a group's rate is below the scheduler's `min_lr`.
    """
    groups, optim = model.get("optim_param_groups") or {}, model.get("optim") or {}
    rates = {name: group["lr"] for name, group in groups.items() if group is not None and group.get("lr") is not None}
    sched = optim.get("sched") or {}
    if not rates or not sched:
        return
    name = sched.get("name")
    constant = any(sched.get(option) for option in ("constant_steps", "constant_ratio"))
    if name in ONE_RATE or (name == "CosineAnnealing" and constant):
        extra = " with constant_steps" if name == "CosineAnnealing" else ""
        raise ValueError(
            f"model.optim.sched.name={name}{extra} gives all parts of the model one rate, but "
            f"model.optim_param_groups has {rates}; take another scheduler (CosineAnnealing), or leave the groups out"
        )
    for part, rate in rates.items():
        if rate < (sched.get("min_lr") or 0.0):
            option = f"model.optim_param_groups.{part}.lr={rate}"
            raise ValueError(f"{option}: must be at least model.optim.sched.min_lr={sched['min_lr']}")


def _lookahead(model: DictConfig) -> str:
    try:
        return str(report_lookahead(model))
    except ValueError as error:  # only with `model.streaming: false`
        return f"Look-ahead: {error}"


class _DataOfAllRanks(Callback):
    """Ends all ranks together if rank 0 has found audio that cannot be read."""

    def __init__(self, unreadable: str):
        super().__init__()
        self._unreadable = unreadable

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Lightning's hook: here all ranks are there."""
        raise_on_all_ranks(self._unreadable, trainer)
