# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""`nemo-streaming-ssl strip` of models that predict next tokens: which of the decoder's heads stay."""

import io

import pytest
import torch
import yaml
from nemo_archives import read, write

from nemo_streaming_ssl.cli import main


class TestNextTokens:
    CLASSES, BOOKS, STEPS = 5, 2, 3

    @pytest.fixture
    def state(self):
        """Weights whose decoder is filled with the number of the head, and of the class."""
        heads = torch.arange(self.BOOKS * self.STEPS).expand(self.CLASSES, -1).reshape(-1)
        classes = torch.arange(self.CLASSES).repeat_interleave(self.BOOKS * self.STEPS)
        rows = torch.stack([heads, classes], dim=1).float()
        weight = {"decoder.decoder_layers.0.weight": rows.unsqueeze(2), "decoder.decoder_layers.0.bias": rows[:, 0]}
        return {"encoder.weight": torch.ones(3), **weight}

    @pytest.fixture
    def write_model(self, tmp_path):
        """Writes a `.nemo` file with these weights and options, as NeMo does: the weights may come first."""

        def written(weights, **options):
            decoder = {"num_classes": self.CLASSES, "num_decoders": self.BOOKS}
            config = {"masking": {}, "decoder": decoder, "objective": "next_tokens", **options}
            content = io.BytesIO()
            torch.save(weights, content)
            files = {"./model_weights.ckpt": content.getvalue(), "./0a_tokenizer.model": b"words"}
            return write(tmp_path / "a.nemo", {**files, "./model_config.yaml": yaml.safe_dump(config).encode()})

        return written

    def test_keep_the_heads_of_the_first_one(self, write_model, state, tmp_path, capsys):
        model = write_model(state, next_tokens={"steps": self.STEPS, "first": 1})
        assert main(["strip", str(model), str(tmp_path / "out.nemo")]) == 0
        (line, _) = capsys.readouterr().out.splitlines()
        assert line.startswith("objective=next_tokens: plain NeMo predicts masked tokens; the decoder keeps the heads")
        found, before = read(tmp_path / "out.nemo"), read(model)
        assert list(found) == list(before) and found["./0a_tokenizer.model"] == before["./0a_tokenizer.model"]
        assert not {"objective", "next_tokens"} & yaml.safe_load(found["./model_config.yaml"]).keys()
        weights = torch.load(io.BytesIO(found["./model_weights.ckpt"]))
        rows = [[head, number] for number in range(self.CLASSES) for head in range(self.BOOKS)]
        assert weights["decoder.decoder_layers.0.weight"].squeeze(2).tolist() == rows
        assert weights["decoder.decoder_layers.0.bias"].tolist() == [head for head, _ in rows]
        assert weights.keys() == state.keys() and torch.equal(weights["encoder.weight"], state["encoder.weight"])

    @pytest.mark.parametrize("objective", ["masked_tokens", "next_tokens"])
    def test_as_many_heads_as_codebooks_are_copied(self, write_model, state, tmp_path, capsys, objective):
        state = {name: value[: self.CLASSES * self.BOOKS] for name, value in state.items()}
        model = write_model(state, objective=objective, next_tokens={"steps": 1})
        assert main(["strip", str(model), str(tmp_path / "out.nemo")]) == 0
        assert read(tmp_path / "out.nemo")["./model_weights.ckpt"] == read(model)["./model_weights.ckpt"]
        assert ("objective=" in capsys.readouterr().out) is (objective == "next_tokens")

    @pytest.mark.parametrize(
        "weights, reason",
        [
            ({"encoder.weight": torch.ones(3)}, "has no decoder.decoder_layers.0.weight"),
            ({"decoder.decoder_layers.0.weight": torch.ones(9, 2, 1)}, "has 9 rows; must have a multiple of 5 * 2"),
        ],
    )
    def test_weights_of_another_decoder_are_an_error(self, write_model, tmp_path, capsys, weights, reason):
        model = write_model(weights)
        assert main(["strip", str(model), str(tmp_path / "out.nemo")]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"{model}: model_weights.ckpt") and reason in error and error.count("\n") == 1
        assert [path.name for path in tmp_path.iterdir()] == ["a.nemo"]

    @pytest.mark.parametrize("content, reason", [(bytes(range(256)), ""), (None, "is not there")])
    def test_weights_that_are_none_are_an_error(self, write_model, state, tmp_path, capsys, content, reason):
        files = read(write_model(state))
        del files["./model_weights.ckpt"]
        model = write(tmp_path / "a.nemo", files if content is None else {**files, "model_weights.ckpt": content})
        assert main(["strip", str(model), str(tmp_path / "out.nemo")]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"{model}: model_weights.ckpt: {reason}") and error.count("\n") == 1
