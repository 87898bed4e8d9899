# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""With none of our options set, nothing changes: the same bits as plain NeMo, in a process without the patches."""


import pytest
import torch

SCRIPT = "plain_models.py"


@pytest.fixture(scope="module")
def plain_nemo(tmp_path_factory, plain_children):
    """What plain NeMo computes."""
    file = tmp_path_factory.mktemp("plain") / "plain.pt"
    plain_children.run(SCRIPT, file)
    return torch.load(file)


@pytest.fixture(scope="module")
def patched(plain_models):
    """What NeMo computes with the patches."""
    return plain_models.run_all()


class TestWithoutOurOptions:
    def test_every_case_was_run(self, plain_nemo, patched, plain_models):
        assert list(plain_nemo) == list(patched) == [*plain_models.ENCODERS, "CTC model"]

    def test_outputs_and_gradients_are_plain_nemos_to_the_bit(self, plain_nemo, patched):
        different = [
            f"{case}: {name}"
            for case, tensors in plain_nemo.items()
            for name, tensor in tensors.items()
            if not torch.equal(tensor, patched[case][name])
        ]
        assert not different and all(tensors.keys() == patched[case].keys() for case, tensors in plain_nemo.items())
