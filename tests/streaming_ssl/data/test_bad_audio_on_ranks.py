# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0


import json

import numpy as np
import soundfile
from omegaconf import OmegaConf, open_dict


class TestBadDataOnRanks:
    def test_an_empty_rank_counts_of_all_ranks_and_one_error_on_all(self, nest_config, tmp_path, children):
        rng = np.random.default_rng(0)
        for i in range(4):
            soundfile.write(tmp_path / f"{i}.wav", rng.normal(scale=0.1, size=16000), 16000)

        def write(name, *files):
            lines = [json.dumps({"audio_filepath": file, "duration": 1.0}) for file in files]
            (tmp_path / name).write_text("\n".join(lines))
            return tmp_path / name

        # two utterances a rank and step, every other one of which is rank 1's: its first batch is without any good one
        skipped = write("skip.json", "0.wav", "gone.wav", "1.wav", "lost.wav", "2.wav", "3.wav", "away.wav", "0.wav")
        refused = write("refused.json", *["0.wav", "gone.wav"] * 2)
        cfg = nest_config("model.masking.mask_prob=0.1")
        with open_dict(cfg):
            cfg.on_bad_audio = "skip"
            cfg.train_ds = {"sample_rate": 16000, "batch_size": 2, "shuffle": False, "labels": ["a"]}
        OmegaConf.save(cfg, tmp_path / "config.yaml")

        ranks = children.ranks("bad_audio_ranks.py", tmp_path / "config.yaml", skipped, refused)
        first, second = (json.loads(rank.stdout.splitlines()[-1]) for rank in ranks)
        assert (first.pop("read"), second.pop("read")) == (4, 0), "one rank reads the audio headers"
        assert first == second
        assert first["skip"]["steps"] == 2 and first["skip"]["train_bad_utterances"] == 3
        # all of it is rank 1's
        assert "train: 3 of the 8 utterances that this epoch has read are bad" in first["too many"]
        assert "refused.json, line 2: cannot read gone.wav (there is no such file); line 4: gone.wav" in first["error"]
