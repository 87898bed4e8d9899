# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""What a recogniser writes: characters of the texts, a tokenizer that is trained on them, or one that is there."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from nemo.collections.asr.parts.finetuning.transcripts import Transcripts, read_transcripts
from nemo.collections.asr.parts.finetuning.vocabulary import check_vocabulary, set_vocabulary, trained_tokenizer
from nemo.collections.common.parts.preprocessing.parsers import make_parser
from nemo.collections.common.tokenizers import SentencePieceTokenizer

TEXTS = ["one two three", "four five", "six seven eight nine"]


@pytest.fixture
def manifest(tmp_path):
    """Writes entries, or texts, as a manifest; returns the data section."""

    def write(*entries, name="texts.json"):
        lines = [entry if isinstance(entry, dict) else {"text": entry} for entry in entries]
        file = tmp_path / name
        file.write_text("\n".join(json.dumps({"audio_filepath": "a.wav", "duration": 1.0, **line}) for line in lines))
        return {"manifest_filepath": str(file)}

    return write


def config(kind="ctc", **options):
    parts = {"decoder": {"num_classes": -1, "vocabulary": []}} if kind == "ctc" else {"joint": {}, "decoder": {}}
    return OmegaConf.create({"labels": None, "tokenizer": None, **parts, **options})


class TestTranscripts:
    def test_characters_are_those_of_all_manifests(self, manifest):
        first, second = manifest("ab a", name="1.json"), manifest("é\tb", name="2.json")
        paths = [first["manifest_filepath"], second["manifest_filepath"]]
        found = read_transcripts("train_ds", {"manifest_filepath": paths})
        assert found.labels == [" ", "a", "b", "é"] and found.complete and list(found) == ["ab a", "é\tb"]
        assert read_transcripts("train_ds", {"manifest_filepath": ",".join(paths)}).labels == found.labels

    @given(st.lists(st.text(st.characters(exclude_categories=("Z", "C")), min_size=1), min_size=1))
    def test_every_text_is_what_its_labels_say(self, texts):
        found = Transcripts([], True, characters=set("".join(texts)))
        labels, parse = found.labels, make_parser(labels=found.labels, name="en", do_normalize=False)
        assert all("".join(labels[i] for i in parse(text)) == text for text in texts)

    def test_lines_without_a_text_are_named(self, manifest):
        section = manifest("good", {"no": 1}, {"text": 3}, {"text": None})
        with pytest.raises(ValueError, match=r"model.train_ds.manifest_filepath=.*: 3 lines have no `text`: 2, 3, 4"):
            read_transcripts("train_ds", section)

    def test_some_texts_may_be_empty_but_not_all(self, manifest):
        assert read_transcripts("train_ds", manifest("a", "")).texts == 1
        with pytest.raises(ValueError, match="all texts are empty; they must be transcripts"):
            read_transcripts("train_ds", manifest("", ""))

    def test_texts_are_found_where_nemo_finds_them(self, manifest, tmp_path):
        (tmp_path / "a.txt").write_text("from a file\n")
        section = manifest({"text_filepath": str(tmp_path / "a.txt")}, {"normalized_text": "normal"})
        assert list(read_transcripts("train_ds", section)) == ["from a file", "normal"]

    def test_lhotse_may_name_the_key_and_weigh_manifests(self, manifest):
        path = manifest({"text": "no", "answer": "yes"})["manifest_filepath"]
        section = {"manifest_filepath": [[path, 0.5]], "text_field": "answer", "use_lhotse": True}
        assert list(read_transcripts("train_ds", section)) == ["yes"]
        with pytest.raises(ValueError, match="manifest_filepath=nowhere.json: there is no such file"):
            read_transcripts("train_ds", {**section, "manifest_filepath": "nowhere.json"})

    def test_what_is_elsewhere_is_not_read(self, manifest):
        here = manifest("a")["manifest_filepath"]
        for elsewhere in ("s3://bucket/a.json", "shard__OP_0..3_CL_.json", "shard_{0..3}.json"):
            found = read_transcripts("train_ds", {"manifest_filepath": [here, elsewhere]})
            assert found.labels == ["a"] and not found.complete


class TestVocabulary:
    def test_characters_are_labels_of_ctc_and_rnnt(self, manifest, tmp_path):
        training = read_transcripts("train_ds", manifest("ab", "c a"))
        for kind in ("ctc", "rnnt"):
            model = config(kind, tokenizer={"type": "char", "dir": None})
            check_vocabulary(model, training)
            set_vocabulary(model, training, tmp_path)
            assert model.labels == [" ", "a", "b", "c"] and "tokenizer" not in model
            assert kind == "rnnt" or (model.decoder.num_classes, model.decoder.vocabulary) == (4, model.labels)

    def test_labels_that_are_given_are_taken(self, manifest, tmp_path):
        model = config(labels=["x", "a"])
        training = read_transcripts("train_ds", manifest("a"))
        check_vocabulary(model, training)
        set_vocabulary(model, training, tmp_path)
        assert model.decoder.vocabulary == ["x", "a"] and model.decoder.num_classes == 2

    @pytest.mark.parametrize("spe_type", ["bpe", "unigram"])
    def test_a_tokenizer_is_trained_on_the_texts(self, spe_type, manifest, tmp_path):
        model = config(tokenizer={"type": "bpe", "vocab_size": 30, "dir": None, "spe_type": spe_type})
        training = read_transcripts("train_ds", manifest(*TEXTS))
        check_vocabulary(model, training)
        set_vocabulary(model, training, tmp_path / "a run")
        assert set(model.tokenizer) == {"type", "dir"} and "labels" not in model
        tokenizer = SentencePieceTokenizer(model_path=f"{model.tokenizer.dir}/tokenizer.model")
        assert tokenizer.vocab_size <= 30
        assert [tokenizer.ids_to_text(tokenizer.text_to_ids(text)) for text in TEXTS] == TEXTS
        assert sorted(file.name for file in (tmp_path / "a run").iterdir()) == ["tokenizer"]

    def test_one_that_the_run_has_trained_before_is_taken_and_no_other(self, tmp_path):
        folder = trained_tokenizer(tmp_path / "tokenizer", TEXTS, 30, "bpe")
        before = {file.name: file.read_bytes() for file in folder.iterdir()}
        trained_tokenizer(tmp_path / "tokenizer", ["other words"], 30, "bpe")
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
        with pytest.raises(ValueError, match="was trained with .*30.*, the config asks for .*40"):
            trained_tokenizer(tmp_path / "tokenizer", TEXTS, 40, "bpe")

    def test_other_ranks_take_what_rank_0_has_trained(self, tmp_path, monkeypatch):
        trained_tokenizer(tmp_path / "tokenizer", TEXTS, 30, "bpe")
        monkeypatch.setenv("RANK", "1")
        assert trained_tokenizer(tmp_path / "tokenizer", [], 30, "bpe") == tmp_path / "tokenizer"

    def test_more_characters_than_pieces_is_an_error_and_leaves_nothing(self, tmp_path):
        with pytest.raises(ValueError, match="model.tokenizer.vocab_size=5: .*Vocabulary size is smaller"):
            trained_tokenizer(tmp_path / "run" / "tokenizer", TEXTS, 5, "bpe")
        assert not (tmp_path / "run").exists()


class TestErrors:
    def check(self, training=Transcripts([], complete=True), **options):
        check_vocabulary(config(**options), training)

    def test_a_folder_that_is_not_there_or_lacks_files_is_named(self, tmp_path):
        with pytest.raises(ValueError, match="model.tokenizer.dir=nowhere: there is no such folder"):
            self.check(tokenizer={"type": "bpe", "dir": "nowhere"})
        for kind, missing in (("bpe", "tokenizer.model and no vocab.txt"), ("wpe", "vocab.txt")):
            with pytest.raises(ValueError, match=f"has no {missing}; a {kind} tokenizer is"):
                self.check(tokenizer={"type": kind, "dir": str(tmp_path)})
        with pytest.raises(ValueError, match="model.tokenizer.langs.en.dir=nowhere: there is no such folder"):
            self.check(tokenizer={"type": "agg", "langs": {"en": {"type": "bpe", "dir": "nowhere"}}})

    def test_only_one_kind_can_be_trained(self):
        with pytest.raises(ValueError, match="model.tokenizer.dir=null: only a single tokenizer of type bpe"):
            self.check(tokenizer={"type": "wpe", "dir": None})
        with pytest.raises(ValueError, match="model.tokenizer.type='char-based': must be one of char, bpe, wpe, agg"):
            self.check(tokenizer={"type": "char-based"})
        with pytest.raises(ValueError, match="model.tokenizer.vocab_size=None"):
            self.check(tokenizer={"type": "bpe", "dir": None})
        with pytest.raises(ValueError, match="model.tokenizer.spe_type='word': must be one of bpe, unigram"):
            self.check(tokenizer={"type": "bpe", "dir": None, "vocab_size": 9, "spe_type": "word"})

    def test_labels_and_a_tokenizer_are_one_too_many(self):
        with pytest.raises(ValueError, match=r"model.labels=\['a'\] and model.tokenizer.type=bpe: only one"):
            self.check(labels=["a"], tokenizer={"type": "bpe", "dir": None, "vocab_size": 9})

    def test_texts_that_cannot_be_read_here_need_labels_or_a_folder(self):
        elsewhere = Transcripts([], complete=False)
        with pytest.raises(ValueError, match="model.labels=null: the characters cannot be read"):
            self.check(elsewhere)
        with pytest.raises(ValueError, match="model.tokenizer.dir=null: model.train_ds"):
            self.check(elsewhere, tokenizer={"type": "bpe", "dir": None, "vocab_size": 9})
        self.check(elsewhere, labels=["a"])
