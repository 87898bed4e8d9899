# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The fast path trains as plain NeMo does: the same losses, step by step."""


import pytest
import torch

from benchmarks.speed.plain_nemo import nemo_model
from nemo.collections.asr.data.audio_to_text_dali import DALIOutputs
from nemo.collections.asr.models import EncDecMaskedTokenPredModel
from nemo.collections.asr.parts.submodules import attention_windows

STEPS = 64


class InFloat32(torch.nn.Module):
    """The same targets and masks for a model in float64."""

    def __init__(self, module):
        super().__init__()
        self.modules_ = [module]  # a list, so that `double()` does not reach it

    def forward(self, **inputs):
        outputs = self.modules_[0](**{name: x.float() if x.is_floating_point() else x for name, x in inputs.items()})
        like = next(x for x in inputs.values() if x.is_floating_point())
        return tuple(x.to(like.dtype) if x.is_floating_point() else x for x in outputs)


def losses(model, batch, step_loss):
    """The loss at each of the steps."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    model.train()
    found = []
    for step in range(STEPS):
        torch.manual_seed(step)  # the masks of the step
        optimizer.zero_grad()
        loss = step_loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        found.append(float(loss))
    return torch.tensor(found, dtype=torch.double)


def plain_loss(model, batch):
    log_probs, lengths, masks, tokens = model.forward(
        processed_signal=batch[0], processed_signal_length=batch[1], apply_mask=True
    )
    return model.loss(masks=masks, decoder_outputs=log_probs, targets=tokens, decoder_lengths=lengths)


def fast_loss(model, batch):
    assert model._decodes_masked_only()
    return model._loss_of(batch, True, model.train_metrics)


@pytest.mark.long_run
def test_losses_of_64_steps_are_those_of_plain_nemo_within_its_own_rounding(nest_config, monkeypatch):
    monkeypatch.setitem(attention_windows.BLOCK_SIZE, "cpu", 16)
    dropout = "dropout=0.0 dropout_pre_encoder=0.0 dropout_att=0.0".split()
    overrides = [
        "model.encoder.att_context_size=[6,0]",
        "model.encoder.conv_norm_type=layer_norm",
        *(f"model.encoder.{option}" for option in dropout),
    ]
    cfg = nest_config(*overrides, like_nemo=True)
    torch.manual_seed(0)
    fast = EncDecMaskedTokenPredModel(cfg=cfg)
    fast.encoder.banded_attention = "always"
    torch.manual_seed(1)
    feats, lengths = torch.randn(2, 80, 512), torch.tensor([512, 400])
    plain, exact = nemo_model(cfg), nemo_model(cfg)
    for model in (plain, exact):
        model.load_state_dict(fast.state_dict())
        model.mask_processor = fast.mask_processor  # NeMo's own draws other masks
    exact = exact.double()
    exact.quantizer, exact.mask_processor = InFloat32(plain.quantizer), InFloat32(fast.mask_processor.float())

    none = torch.zeros(2, 1)
    batch = DALIOutputs(
        {"processed_signal": feats, "processed_signal_len": lengths, "transcript": none, "transcript_len": none[:, 0]}
    )
    truth = losses(exact, (feats.double(), lengths), plain_loss)
    of_nemo, of_ours = losses(plain, (feats, lengths), plain_loss), losses(fast, batch, fast_loss)
    assert truth[-8:].mean() < truth[:8].mean() - 0.3  # it learns
    # NeMo's error grows with the steps: what it has been so far is allowed, and a few last bits of a float32 loss
    allowed = (of_nemo - truth).abs().cummax(dim=0).values + 3e-6
    assert ((of_ours - truth).abs() <= allowed).all(), (of_ours - truth).abs() / allowed
