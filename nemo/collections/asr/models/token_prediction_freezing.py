# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What token prediction does not train is frozen while a trainer fits it, because DDP waits for gradients."""

import inspect
from itertools import chain, takewhile

from lightning.pytorch import Callback, LightningModule
from torch.nn import Parameter

from nemo.collections.asr.modules.ssl_modules.masking import ConvFeatureMaksingWrapper
from nemo.collections.asr.modules.ssl_modules.quantizers import RandomProjectionVectorQuantizer

OURS = "nemo.collections.asr.models.ssl_models"
STEP = ("training_step", "forward", "_loss_of", "_encode", "_encode_post_conv", "_tokens")


def untrained_parameters(model: LightningModule) -> list[Parameter]:
    """Parameters that get no gradient in a training step; none are known of a subclass that changes the step.

    - With `mask_position: post_conv` the encoder's subsampling and the vector that replaces masked frames: the
      subsampling makes the targets too, so NeMo detaches what comes out of it.
    - The quantizer, whatever its `freeze` says: tokens are integers.
    """
    subclasses = takewhile(lambda cls: cls.__module__ != OURS, inspect.getmro(type(model)))
    if any(name in vars(cls) for cls in subclasses for name in STEP):
        return []
    untrained = ((model.pre_encoder, ConvFeatureMaksingWrapper), (model.quantizer, RandomProjectionVectorQuantizer))
    return list(chain.from_iterable(module.parameters() for module, known in untrained if type(module) is known))


class FreezeUntrained(Callback):
    """Freezes `untrained_parameters` while a trainer fits, so that `strategy: ddp` waits for no gradient of theirs.

    Weights are what they would be otherwise, and the optimizer holds the same parameters, so that optimizer states of
    older checkpoints fit. Afterwards gradients flow again: the encoder without a mask can be trained further.
    """

    def __init__(self):
        self._frozen: set[str] = set()  # names, because FSDP2 puts other parameters in their place

    def setup(self, trainer, pl_module, stage):
        """Lightning's hook, before DDP is told which parameters there are."""
        if stage == "fit":
            untrained = {id(parameter) for parameter in untrained_parameters(pl_module)}
            trainable = [(name, p) for name, p in pl_module.named_parameters() if p.requires_grad]
            self._frozen = {name for name, parameter in trainable if id(parameter) in untrained}
            self._set(pl_module, requires_grad=False)

    def teardown(self, trainer, pl_module, stage):
        """Lightning's hook."""
        self._set(pl_module, requires_grad=True)
        self._frozen = set()

    def on_exception(self, trainer, pl_module, exception):
        """Lightning's hook; there is no `teardown` then."""
        self.teardown(trainer, pl_module, "fit")

    def _set(self, model: LightningModule, requires_grad: bool):
        for name, parameter in model.named_parameters():
            if name in self._frozen:
                parameter.requires_grad_(requires_grad)
