# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The order and the noise of a loader's batches: by seed, epoch, rank and place."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from nemo.collections.asr.data.loading import ordered_loader
from nemo.collections.asr.data.loading.order import EpochDraws


class TestPlacesInData:
    @given(
        samples=st.integers(1, 40),
        batch=st.integers(1, 5),
        ranks=st.integers(1, 4),
        drop_last=st.booleans(),
        shuffle=st.booleans(),
        epoch=st.integers(0, 3),
        data=st.data(),
    )
    def test_the_rest_of_an_epoch(self, samples, batch, ranks, drop_last, shuffle, epoch, data):
        for rank in range(ranks):
            draws = EpochDraws(range(samples), batch, drop_last, shuffle, 3, ranks, rank)
            draws.set_epoch(epoch)
            whole = list(draws)
            assert len(whole) == len(draws)
            done = data.draw(st.integers(0, len(whole)))
            draws.start_at(epoch, done)
            assert list(draws) == whole[done:]
            draws.set_epoch(epoch + 1)
            assert len(list(draws)) == len(whole)
            indices = [index for draw in whole for index in draw.samples]
            assert len(set(indices)) == len(indices) or ranks > samples

    def test_ranks_draw_other_noise(self):
        class Noise(torch.utils.data.Dataset):
            def __len__(self):
                return 8

            def __getitem__(self, index):
                return torch.rand(3)

        plain = torch.utils.data.DataLoader(Noise(), batch_size=2)
        first, again, other = (next(iter(ordered_loader(plain, 7, ranks=2, rank=rank))) for rank in (0, 0, 1))
        assert torch.equal(first, again) and not (first == other).any()
