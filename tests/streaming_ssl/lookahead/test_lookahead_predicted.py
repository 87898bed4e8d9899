# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What the look-ahead report says of `model.objective: next_tokens`."""

import pytest

from nemo.collections.asr.models import EncDecMaskedTokenPredModel
from nemo.collections.asr.parts.lookahead import report_lookahead

CHUNKS = ["model.encoder.att_context_style=chunked_limited", "model.encoder.att_context_size=[42,1]"]
FUTURE = "model.encoder.causal_downsampling=false"


@pytest.fixture(scope="module")
def predicted(nest_config):
    """What the report says of a config with these overrides, and the report."""

    def predicted(*overrides, **options):
        cfg = nest_config(*overrides)
        cfg.objective, cfg.next_tokens = "next_tokens", options
        report = report_lookahead(cfg)
        return report.predicted, report

    return predicted


class TestPredictedTokens:
    @pytest.mark.parametrize(
        "overrides, options, first, heard, text",
        [
            ([], {}, 0, 1, "tokens t + 0 ... t + 3; it has heard 1 of the 8 frames of token t"),
            ([], {"steps": 1, "first": 2}, 2, 0, "token t + 2; it has heard 0 of the 8 frames of token t + 2"),
            ([FUTURE], {"steps": 2}, 1, 0, "tokens t + 1 ... t + 2; it has heard 0 of the 8 frames of token t + 1"),
        ],
    )
    def test_are_data_and_the_last_line(self, predicted, overrides, options, first, heard, text):
        found, report = predicted(*overrides, **options)
        assert (found.first, found.heard_frames, found.token_frames, found.problem) == (first, heard, 8, None)
        assert str(report).splitlines()[-1] == f"Objective next_tokens: step t predicts {text}"

    @pytest.mark.parametrize(
        "overrides, options, reasons",
        [
            (CHUNKS, {}, ["attention: right context of a chunk"]),
            (["model.preprocessor.normalize=per_feature"], {}, ["utterance normalisation: preprocessor.normalize"]),
            ([*CHUNKS, "model.encoder.conv_norm_type=batch_norm"], {}, ["attention: right", "batch statistics: "]),
            (["model.encoder.att_context_size=[[40,0],[40,2]]"], {}, ["encoder.att_context_size has [40, 2]"]),
            (["model.encoder.att_context_size=[[40,0],[40,-1]]"], {}, ["encoder.att_context_size has [40, -1]"]),
            ([FUTURE], {"first": 0}, ["first=0: encoder step t has heard all of token t + 0; must be 1"]),
        ],
    )
    def test_that_are_heard_are_a_problem(self, predicted, overrides, options, reasons):
        found, report = predicted(*overrides, **options)
        assert "NOT possible" in str(report) and all(reason in found.problem for reason in reasons)
        assert found.problem in str(report)

    @pytest.mark.parametrize("options", [{}, {"steps": 2, "first": 1}, {"steps": 1}])
    def test_are_those_of_the_model(self, nest_config, options):
        for override in ("model.encoder.n_layers=1", FUTURE):
            cfg = nest_config(override)
            cfg.objective, cfg.next_tokens = "next_tokens", options
            model = EncDecMaskedTokenPredModel(cfg)
            found = report_lookahead(model).predicted
            assert found.first == model.objective.first and found.steps == model.objective.tokens_per_step

    def test_the_contexts_that_a_model_has_now_count(self, nest_config):
        cfg = nest_config()
        cfg.objective = "next_tokens"
        model = EncDecMaskedTokenPredModel(cfg)
        model.encoder.set_default_att_context_size([40, 1])
        assert "attention" in report_lookahead(model).predicted.problem

    @pytest.mark.parametrize("objective", ["masked_tokens", None])
    def test_masked_tokens_are_none(self, nest_config, objective):
        cfg = nest_config()
        cfg.objective = objective
        if objective is None:
            del cfg.objective
        report = report_lookahead(cfg)
        assert report.predicted is None and "Objective" not in str(report)

    def test_a_model_that_predicts_no_tokens_is_asked_nothing(self, nest_config):
        cfg = nest_config()
        cfg.objective = "ctc"
        del cfg.quantizer
        assert report_lookahead(cfg).predicted is None

    @pytest.mark.parametrize(
        "key, value, message",
        [
            ("objective", "next_token", "model.objective='next_token': must be one of masked_tokens, next_tokens"),
            ("next_tokens.steps", 0, "model.next_tokens.steps=0: must be an integer >= 1"),
            ("next_tokens.first", -1, "model.next_tokens.first=-1: must be an integer >= 0"),
        ],
    )
    def test_what_means_nothing_is_an_error(self, nest_config, key, value, message):
        with pytest.raises(ValueError, match="^" + message):
            report_lookahead(nest_config("model.objective=next_tokens", f"model.{key}={value}"))
