# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import sys
from pathlib import Path

import pytest

from nemo_streaming_ssl import check, cli

CHUNK = "model.encoder.att_context_size=[6,1]"
PNG = b"\x89PNG"
TINY = """
    model.num_classes=64 model.encoder.d_model=32 model.encoder.n_layers=2 model.encoder.n_heads=4
    model.encoder.ff_expansion_factor=2 model.encoder.subsampling_conv_channels=8 model.encoder.att_context_size=[20,0]
    model.hierarchical_context.schedule=[[0,[10,0]],[1,[20,0]]]
""".split()
# an encoder for CTC or RNN-T, whose tokenizer is not there; the config has `defaults`
CTC_BASE = """
preprocessor:
  _target_: nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor
  normalize: NA
  features: 80
encoder:
  _target_: nemo.collections.asr.modules.ConformerEncoder
  feat_in: ${model.preprocessor.features}
  n_layers: 2
  d_model: 32
  subsampling: dw_striding
  subsampling_factor: 8
  causal_downsampling: true
  conv_kernel_size: 9
  conv_norm_type: layer_norm
  conv_context_size: causal
"""
CTC = """
defaults:
  - base@model
  - _self_
model:
  train_ds:
    manifest_filepath: ???
  tokenizer:
    dir: ???
  encoder:
    att_context_size: [20, 0]
    hierarchical_context:
      schedule: [[0, [10, 0]], [1, [20, 1]]]
"""

MODULES = "nemo.collections.asr.modules"
PREPROCESSOR = f"preprocessor: {{_target_: {MODULES}.AudioToMelSpectrogramPreprocessor, normalize: per_feature}}\n"
CITRINET = f"""{PREPROCESSOR}
encoder:
  _target_: {MODULES}.ConvASREncoder
  feat_in: 80
  activation: relu
  jasper: [{{filters: 16, repeat: 1, kernel: [5], stride: [1], dilation: [1], dropout: 0.0, residual: false}}]
"""
LSTM = f"""{PREPROCESSOR}
encoder: {{_target_: {MODULES}.RNNEncoder, feat_in: 80, n_layers: 2, d_model: 16, subsampling: stacking}}
"""
WAV2VEC = f"""
preprocessor: {{_target_: {MODULES}.wav2vec_modules.ConvFeatureEncoder, extractor_mode: layer_norm}}
encoder: {{_target_: {MODULES}.wav2vec_modules.Wav2VecTransformerEncoder, layer_drop: 0.1}}
"""
SQUEEZEFORMER = f"""{PREPROCESSOR}
encoder: {{_target_: {MODULES}.SqueezeformerEncoder, feat_in: 80, n_layers: 2, d_model: 16, subsampling_factor: 4}}
"""


@pytest.fixture(scope="module")
def hierarchical(stub):
    return str(stub.repository / "examples/asr/conf/ssl/nest/nest_hierarchical_streaming.yaml")


@pytest.fixture
def ctc(tmp_path):
    (tmp_path / "base.yaml").write_text(CTC_BASE)
    (tmp_path / "ctc.yaml").write_text(CTC)
    return str(tmp_path / "ctc.yaml")


class TestCheck:
    def test_the_shipped_config_is_streaming_and_causal(self, hierarchical, capsys):
        assert cli.main(["check", hierarchical, *TINY]) == 0
        text = capsys.readouterr().out
        assert "  0       [10, 0]" in text and "Verdict: streaming" in text and "Causal to the bit: " in text

    def test_all_of_it_without_a_model(self, hierarchical, capsys):
        assert cli.main(["check", hierarchical, "--no-probe"]) == 0
        text = capsys.readouterr().out
        assert "  12-16   [320, 0]             25600         0" in text and "Causal" not in text

    @pytest.mark.parametrize("module", ["common.parts.adapter_modules", "asr.parts.submodules.adapters"])
    @pytest.mark.parametrize("enabled", [True, False])
    def test_an_adapter_that_no_stream_goes_through(self, hierarchical, capsys, module, enabled):
        name = "LinearAdapter" if "common" in module else "RelPositionMultiHeadAttentionAdapter"
        adapter = f"{{_target_:nemo.collections.{module}.{name},enabled:{enabled}}}"
        words = [f"+model.adapters={{__global_cfg__:{{check_encoder_adapter:true}},own:{adapter}}}"]
        refused = enabled and name != "LinearAdapter"
        assert cli.main(["check", hierarchical, "--no-probe", *words]) == int(refused)
        assert (f"adapters: own ({name}) is enabled" in capsys.readouterr().out) == refused

    @pytest.mark.parametrize(
        "words",
        [
            ["model.encoder.conv_context_size=null"],
            ["--no-probe", "model.encoder.conv_context_size=null", "model.preprocessor.normalize=per_feature"],
        ],
    )
    def test_what_looks_ahead_is_told(self, hierarchical, capsys, words):
        assert cli.main(["check", hierarchical, *TINY, *words]) == 1
        text = capsys.readouterr().out
        assert "Verdict: NOT streaming" in text and "conv_context_size=null" in text
        assert ("NOT causal: " in text) == ("--no-probe" not in words)

    def test_a_config_without_its_tokenizer(self, ctc, capsys):
        assert cli.main(["check", ctc]) == 0
        text = capsys.readouterr().out
        assert "  1       [20, 1]" in text and "measured look-ahead 80.0 ms from features (stated 80.0)" in text

    def test_a_nemo_file(self, hierarchical, tmp_path, capsys):
        from nemo.collections.asr.models.ssl_models import EncDecDenoiseMaskedTokenPredModel
        from nemo_streaming_ssl.check import _without_data, load_config

        config = load_config(Path(hierarchical), TINY)
        saved = str(tmp_path / "model.nemo")
        EncDecDenoiseMaskedTokenPredModel(_without_data(config)).save_to(saved)
        assert cli.main(["check", saved]) == 0
        assert "  1       [20, 0]" in capsys.readouterr().out
        assert cli.main(["check", saved, "model.encoder.n_layers=1"]) == 2
        assert "cannot be replaced" in capsys.readouterr().err


class TestCheckOfNextTokens:
    NEXT = "model.objective=next_tokens"

    def test_the_line_is_the_last_of_the_report(self, hierarchical, capsys):
        assert cli.main(["check", hierarchical, *TINY, self.NEXT]) == 0
        text = capsys.readouterr().out
        assert "step t predicts tokens t + 0 ... t + 3" in text and "Causal to the bit: " in text

    def test_what_is_heard_is_told_and_no_model_is_built(self, hierarchical, capsys, monkeypatch):
        monkeypatch.setattr(check, "_build_model", None)
        words = ["model.hierarchical_context=null", "model.encoder.att_context_style=chunked_limited"]
        for more in ([], ["--no-probe"]):
            assert cli.main(["check", hierarchical, self.NEXT, *words, CHUNK, *more]) == 1
            out = capsys.readouterr().out
            assert "Verdict: streaming" in out and "Objective next_tokens: NOT possible" in out

    def test_a_nemo_file(self, hierarchical, tmp_path, capsys):
        from nemo.collections.asr.models.ssl_models import EncDecDenoiseMaskedTokenPredModel

        nothing = ["model.train_ds=null", "model.validation_ds=null"]
        config = check.load_config(Path(hierarchical), [*TINY, *nothing, self.NEXT, "model.next_tokens.steps=2"])
        model = EncDecDenoiseMaskedTokenPredModel(config.model)
        file = str(tmp_path / "next.nemo")
        model.save_to(file)
        assert cli.main(["check", file]) == 0
        assert "step t predicts tokens t + 0 ... t + 1" in capsys.readouterr().out
        model.encoder.set_layer_contexts([[20, 1], [20, 0]])
        model.save_to(file)
        assert cli.main(["check", file]) == 1
        assert "Objective next_tokens: NOT possible" in capsys.readouterr().out


class TestUnreadableInput:
    @pytest.mark.parametrize(
        "name, text, words, message",
        [
            ("missing.yaml", None, [], "there is no such file"),
            (".", None, [], "is a folder, not a file"),
            ("broken.yaml", "model: [", [], "parsing"),
            ("empty.yaml", "", [], "preprocessor=None"),
            ("model.nemo", "no archive", [], "model.nemo: "),
            ("ctc.yaml", CTC_BASE, ["encoder.nlayers=2"], "nlayers"),
            ("ctc.yaml", CTC_BASE, ["encoder.n_layers=0"], "encoder.n_layers=0"),
            ("ctc.yaml", CTC_BASE, ["encoder.feat_in=none"], "the model cannot be run"),
            (
                "ctc.yaml",
                "encoder: {n_layers: 2}\npreprocessor: {}",
                [],
                "encoder._target_=None: must be the dotted path of a class",
            ),
            ("ctc.yaml", CTC_BASE, [f"encoder._target_={MODULES}.NoEncoder"], "NoEncoder: cannot be imported"),
            ("citrinet.yaml", CITRINET, [], "encoder=ConvASREncoder ("),
            ("citrinet.yaml", CITRINET, ["--no-probe"], "report_lookahead reads ConformerEncoder"),
            ("lstm.yaml", LSTM, ["--no-probe"], "encoder=RNNEncoder ("),
            # these two cannot be imported in NeMo 3.0.0
            # importing it takes seconds
            pytest.param("wav2vec.yaml", WAV2VEC, [], "Wav2VecTransformerEncoder", marks=pytest.mark.long_run),
            ("squeezeformer.yaml", SQUEEZEFORMER, [], "SqueezeformerEncoder"),
        ],
    )
    def test_it_is_one_line_and_2(self, tmp_path, capsys, name, text, words, message):
        if text is not None:
            (tmp_path / name).write_text(text.replace("${model.preprocessor.features}", "80"))
        capsys.readouterr()
        assert cli.main(["check", str(tmp_path / name), *words]) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert str(tmp_path / name) in error and message in error

    @pytest.mark.parametrize("words", [["check"], ["check", "x.yaml", "--no-such-option"], ["status", "word"]])
    def test_words_that_mean_nothing(self, capsys, words):
        with pytest.raises(SystemExit) as exit:
            cli.main(words)
        assert exit.value.code == 2 and "usage: " in capsys.readouterr().err


class TestPlot:
    @pytest.mark.parametrize(
        "overrides",
        [
            [],
            ["model.hierarchical_context.schedule=[[0,[20,0]],[1,[-1,-1]]]"],
            ["model.hierarchical_context.schedule=[[0,[-1,0]]]", "model.masking.causal=false"],
            ["model.mask_position=post_conv"],
        ],
    )
    def test_a_picture(self, hierarchical, tmp_path, capsys, overrides):
        output = tmp_path / "contexts.png"
        assert cli.main(["plot", hierarchical, "-o", str(output), *TINY, *overrides]) == 0
        assert output.read_bytes().startswith(PNG) and capsys.readouterr().out.strip().endswith(str(output))

    def test_a_config_without_masking(self, ctc, tmp_path):
        assert cli.main(["plot", ctc, "-o", str(tmp_path / "contexts.svg")]) == 0
        assert "svg" in (tmp_path / "contexts.svg").read_text()

    def test_the_mask_is_inside_its_windows(self, hierarchical):
        from nemo_streaming_ssl.check import load_config, read_report
        from nemo_streaming_ssl.plot import sample_mask

        path = Path(hierarchical)
        config = load_config(path, TINY)
        seconds, masked, ends = sample_mask(config, read_report(path, config))
        assert seconds == 0.01 and len(masked) == 1000 and any(masked) and ends[-1] == 1000
        # windows of 10 encoder frames, of which at most the share of the config is masked; the first one may be cut
        assert {after - before for before, after in zip(ends, ends[1:-1])} == {80}
        for first, stop in zip([0, *ends], ends):
            assert sum(masked[first:stop]) <= 0.8 * (stop - first)

    def test_without_matplotlib(self, hierarchical, capsys, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        assert cli.main(["plot", hierarchical]) == 2
        assert capsys.readouterr().err == "plot needs matplotlib: pip install matplotlib\n"

    def test_what_cannot_be_read_or_written(self, hierarchical, tmp_path, capsys):
        assert cli.main(["plot", str(tmp_path / "missing.yaml")]) == 2
        assert cli.main(["plot", hierarchical, "-o", str(tmp_path / "missing/contexts.png")]) == 2
        assert cli.main(["plot", hierarchical, "-o", str(tmp_path / "contexts.pgn")]) == 2
        assert cli.main(["plot", hierarchical, "model.masking.mask_prob=2"]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert "mask_prob=2" in lines[-1] and "contexts.pgn" in lines[-2]
