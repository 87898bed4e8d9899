# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

import pytest
from omegaconf import OmegaConf

# the keys of NeMo's own examples/asr/conf/ssl/nest/nest_fast-conformer.yaml that are not sections of one value each
NEMO_SECTIONS = {
    "": "name model trainer exp_manager",
    "model": """sample_rate num_classes num_books code_dim squeeze_single mask_position train_ds validation_ds
        preprocessor spec_augment masking quantizer encoder decoder loss optim""",
    "model.train_ds": """manifest_filepath noise_manifest sample_rate batch_size shuffle num_workers pin_memory
        use_start_end_token trim_silence max_duration min_duration drop_last is_concat concat_sampling_technique
        concat_sampling_temperature is_tarred tarred_audio_filepaths shuffle_n bucketing_strategy bucketing_batch_size
        batch_augmentor""",
    "model.validation_ds": """manifest_filepath noise_manifest sample_rate batch_size shuffle num_workers pin_memory
        use_start_end_token max_duration min_duration batch_augmentor""",
    "model.train_ds.batch_augmentor": """_target_ prob noise_ratio min_r_speech max_r_speech min_r_noise max_r_noise
        min_mix_rate max_mix_rate min_num_segments max_num_segments min_num_speakers max_num_speakers""",
    "model.preprocessor": """_target_ sample_rate normalize window_size window_stride window features n_fft log
        frame_splicing dither pad_to pad_value""",
    "model.spec_augment": "_target_ freq_masks time_masks freq_width time_width",
    "model.masking": "_target_ block_size mask_prob feat_in freeze allow_overlap",
    "model.quantizer": """_target_ feat_in code_dim num_books num_classes dist_fn freeze squeeze_single
        combine_time_steps""",
    "model.encoder": """_target_ feat_in feat_out n_layers d_model use_bias subsampling subsampling_factor
        subsampling_conv_channels causal_downsampling ff_expansion_factor self_attention_model n_heads att_context_size
        att_context_style xscaling untie_biases pos_emb_max_len conv_kernel_size conv_norm_type conv_context_size
        dropout dropout_pre_encoder dropout_emb dropout_att stochastic_depth_drop_prob stochastic_depth_mode
        stochastic_depth_start_layer""",
    "model.decoder": "_target_ feat_in num_classes num_decoders squeeze_single use_bias",
    "model.loss": "_target_ combine_time_steps mask_threshold num_decoders squeeze_single",
    "model.optim": "name lr betas weight_decay sched",
    "model.optim.sched": "name d_model warmup_steps warmup_ratio min_lr",
    "trainer": """devices num_nodes max_epochs max_steps val_check_interval accelerator strategy
        accumulate_grad_batches gradient_clip_val precision log_every_n_steps enable_progress_bar num_sanity_val_steps
        check_val_every_n_epoch sync_batchnorm enable_checkpointing logger benchmark""",
    "exp_manager": """exp_dir name create_tensorboard_logger create_checkpoint_callback checkpoint_callback_params
        resume_if_exists resume_ignore_no_checkpoint create_wandb_logger wandb_logger_kwargs""",
}


class TestNestConfigs:
    @pytest.mark.parametrize("name", ["nest_fast-conformer_streaming", "nest_hierarchical_streaming"])
    def test_every_key_of_nemos_config_is_there(self, compose_config, name):
        cfg = compose_config(name)
        for section, keys in NEMO_SECTIONS.items():
            node = OmegaConf.select(cfg, section) if section else cfg
            assert set(keys.split()) <= set(node), section

    @pytest.mark.parametrize("name", ["nest_fast-conformer_streaming", "nest_hierarchical_streaming"])
    def test_the_settings_are_streaming_ones(self, compose_config, name):
        model = compose_config(name).model
        encoder = model.encoder
        assert encoder.causal_downsampling and encoder.conv_context_size == "causal"
        assert encoder.conv_norm_type == "layer_norm" and encoder.att_context_size[1] == 0
        assert model.preprocessor.normalize == "NA"
        assert model.masking.causal and model.masking.context_stride == encoder.subsampling_factor

    def test_the_hierarchical_config_is_the_streaming_one_plus_its_contexts(self, compose_config):
        streaming = compose_config("nest_fast-conformer_streaming")
        cfg = compose_config("nest_hierarchical_streaming")
        assert cfg.model.hierarchical_context.schedule == [[0, [40, 0]], [6, [120, 0]], [12, [320, 0]]]
        assert cfg.model.curriculum_context.warmup_steps == 100000
        for node in (streaming, cfg):
            OmegaConf.set_struct(node, False)
            node.model.pop("hierarchical_context", None)
            node.model.pop("curriculum_context", None)
            node.model.encoder.att_context_size = node.name = None
        assert streaming == cfg
