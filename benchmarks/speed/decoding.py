# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""Decoder and loss, forward and backward, a third of the steps masked: all steps decoded by NeMo, the masked by us."""

import sys
from argparse import Namespace
from collections.abc import Iterator

import torch

from benchmarks.speed.harness import Case, forward_backward, main
from benchmarks.speed.plain_nemo import mlm as plain
from nemo.collections.asr.losses.ssl_losses.masked_decoding import decode_masked
from nemo.collections.asr.losses.ssl_losses.mlm import masked_steps, tokens_in_loss
from nemo.collections.asr.modules.ssl_modules.multi_softmax_decoder import MultiSoftmaxDecoder

STEPS, CLASSES, FEATURES, FACTOR = 375, 8192, 80, 8


def cases(args: Namespace) -> Iterator[Case]:
    for books in (1, 4):
        torch.manual_seed(0)
        decoder = MultiSoftmaxDecoder(args.d_model, CLASSES, books, use_bias=True).to(args.device)
        loss = plain.MultiMLMLoss(combine_time_steps=FACTOR, mask_threshold=0.8, num_decoders=books)
        # as the encoder returns it
        encoded = torch.randn(args.batch, STEPS, args.d_model, device=args.device).transpose(1, 2).requires_grad_()
        flags = torch.rand(args.batch, 1, STEPS, device=args.device) < 1 / 3
        masks = flags.repeat_interleave(FACTOR, dim=2).expand(-1, FEATURES, -1).float()
        tokens = torch.randint(CLASSES, (args.batch, STEPS, books), device=args.device)
        lengths = torch.full((args.batch,), STEPS, device=args.device)

        def nemo() -> torch.Tensor:
            outputs = decoder(encoder_output=encoded)
            return loss(masks=masks, decoder_outputs=outputs, targets=tokens, decoder_lengths=lengths)

        def ours() -> torch.Tensor:
            masked = masked_steps(masks, FACTOR, 0.8)
            in_loss = tokens_in_loss(encoded.transpose(1, 2), tokens, masked, lengths, -100)
            return decode_masked(decoder, encoded, tokens, in_loss).loss

        inputs = [encoded, *decoder.parameters()]
        settings: dict[str, object] = {"steps": STEPS, "classes": CLASSES, "codebooks": books}
        sides = (forward_backward(function, inputs, args) for function in (ours, nemo))
        yield Case("decoding", settings, next(sides), {"nemo": next(sides)})


if __name__ == "__main__":
    sys.exit(main("decoding", __doc__, cases))
