"""What may stand in `train.extra`: keys of each trainer that were judged one by one, and why the others may not.

A key of a trainer is in exactly one of three places, and a test holds that none is left out: set by the section itself
(`set_by_us` of the trainer's module), refused for a reason, or allowed. So a new version of a trainer cannot let a key
in that nobody looked at.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache

from components.train.params import TrainerName

__all__ = ["ATTENTION", "FORBIDDEN_ANYWHERE", "RECIPE_KEYS", "allowed_keys", "refusal_of"]

_CODE = "it imports code, or has code downloaded"
_NETWORK = "it sends or fetches something over the network; progress is recorded in MLflow by the run itself"
_CREDENTIAL = "it holds a key or token, and recipes are stored with every run"
_PATH = "it names a file or folder of this machine, and a job is a folder that can be moved"
_SEVERAL = "it is for several GPUs or machines; steps, estimates and checks are made for one"
_DATA = "examples and their split are made and audited by section `dataset`"
_MASK = "it changes which tokens are trained, and loss is on the partner's turns only"
_TEXT = "it changes tokenizer or chat template: what is trained would not be what is served"
_ADAPTER = "it makes another kind of adapter than train.lora describes; the exported one could not hold it"
_BASE = "it changes the base model, which is named by train.base"
_STEPS = "it changes batches, steps or checkpoints, which the section counts and judges by"
_TASK = "it belongs to another kind of training than on examples, where it would be ignored"
_OTHER = "it is not about training a text model, so it would be ignored"
_DEAD = "this version ignores it, or stops at it"
_INNER = "the trainer works it out itself"
_PRECISION = "train.precision and train.base.quantization set the precision"

FORBIDDEN_ANYWHERE = {"trust_remote_code": _CODE, "plugins": _CODE, "token": _CREDENTIAL, "use_auth_token": _CREDENTIAL}
"""Keys that are refused at any depth, also inside maps whose keys a trainer hands on unseen."""

ATTENTION = (
    "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention", "xformers", "sage", "fp8",
)  # fmt: skip
"""Values of `attn_implementation`; any other would be the name of code on the hub."""

RECIPE_KEYS: dict[TrainerName, dict[str, str]] = {
    "axolotl": {
        "base_model": "base.model", "revision_of_model": "base.revision", "model_revision": "base.revision",
        "load_in_4bit": "base.quantization", "adapter": "base.quantization", "chat_template": "base.template",
        "lora_r": "lora.r", "lora_alpha": "lora.alpha", "lora_dropout": "lora.dropout",
        "lora_target_linear": "lora.targets", "lora_target_modules": "lora.targets", "num_epochs": "epochs",
        "max_steps": "max_steps", "micro_batch_size": "batch_size", "gradient_accumulation_steps": "accumulation",
        "learning_rate": "learning_rate", "lr_scheduler": "scheduler", "warmup_ratio": "warmup_ratio",
        "warmup_steps": "warmup_ratio", "weight_decay": "weight_decay", "max_grad_norm": "max_grad_norm",
        "optimizer": "optimizer", "bf16": "precision", "fp16": "precision", "sequence_len": "max_tokens",
        "gradient_checkpointing": "gradient_checkpointing", "sample_packing": "packing", "seed": "seed",
        "early_stopping_patience": "validation.patience", "save_total_limit": "validation.keep_checkpoints",
        "eval_steps": "validation.evaluations_per_epoch", "save_steps": "validation.evaluations_per_epoch",
    },
    "llamafactory": {
        "model_name_or_path": "base.model", "model_revision": "base.revision", "template": "base.template",
        "quantization_bit": "base.quantization", "lora_rank": "lora.r", "lora_alpha": "lora.alpha",
        "lora_dropout": "lora.dropout", "lora_target": "lora.targets", "num_train_epochs": "epochs",
        "max_steps": "max_steps", "per_device_train_batch_size": "batch_size",
        "gradient_accumulation_steps": "accumulation", "learning_rate": "learning_rate",
        "lr_scheduler_type": "scheduler", "warmup_ratio": "warmup_ratio", "warmup_steps": "warmup_ratio",
        "weight_decay": "weight_decay", "max_grad_norm": "max_grad_norm", "optim": "optimizer",
        "bf16": "precision", "fp16": "precision", "cutoff_len": "max_tokens",
        "gradient_checkpointing": "gradient_checkpointing",
        "disable_gradient_checkpointing": "gradient_checkpointing", "packing": "packing", "seed": "seed",
        "early_stopping_steps": "validation.patience", "save_total_limit": "validation.keep_checkpoints",
        "eval_steps": "validation.evaluations_per_epoch", "save_steps": "validation.evaluations_per_epoch",
    },
    "unsloth": {
        "load.model_name": "base.model", "load.revision": "base.revision", "load.load_in_4bit": "base.quantization",
        "load.max_seq_length": "max_tokens", "load.dtype": "precision", "lora.r": "lora.r",
        "lora.lora_alpha": "lora.alpha", "lora.lora_dropout": "lora.dropout", "lora.target_modules": "lora.targets",
        "lora.use_gradient_checkpointing": "gradient_checkpointing", "lora.random_state": "seed",
        "sft.num_train_epochs": "epochs", "sft.max_steps": "max_steps",
        "sft.per_device_train_batch_size": "batch_size", "sft.gradient_accumulation_steps": "accumulation",
        "sft.learning_rate": "learning_rate", "sft.lr_scheduler_type": "scheduler",
        "sft.warmup_ratio": "warmup_ratio", "sft.warmup_steps": "warmup_ratio", "sft.weight_decay": "weight_decay",
        "sft.max_grad_norm": "max_grad_norm", "sft.optim": "optimizer", "sft.bf16": "precision",
        "sft.fp16": "precision", "sft.max_length": "max_tokens", "sft.packing": "packing", "sft.seed": "seed",
        "sft.gradient_checkpointing": "gradient_checkpointing",
        "sft.save_total_limit": "validation.keep_checkpoints",
        "sft.eval_steps": "validation.evaluations_per_epoch", "sft.save_steps": "validation.evaluations_per_epoch",
    },
}  # fmt: skip
"""Keys of trainers that are keys of section `train` as well: which."""

_REFUSED: dict[TrainerName, tuple[tuple[str, str], ...]] = {
    "axolotl": (
        (
            _CODE,
            "plugins trainer_cls trust_remote_code model_type type_of_model tokenizer_type processor_type "
            "use_kernels experts_implementation torchdistx_path model_kwargs overrides_of_model_kwargs "
            "model_config overrides_of_model_config processor_kwargs eval_causal_lm_metrics do_causal_lm_eval",
        ),
        (_CREDENTIAL, "comet_api_key hf_use_auth_token"),
        (
            _NETWORK,
            "wandb_* use_wandb comet_* use_comet mlflow_* use_mlflow hf_mlflow_log_artifacts trackio_* "
            "use_trackio use_tensorboard otel_* use_otel_metrics hub_* push_dataset_to_hub bench_* "
            "do_bench_eval",
        ),
        (
            _SEVERAL,
            "deepspeed deepcompile fsdp fsdp_* ddp ddp_* dp_* *_parallel_* local_rank world_size ray_* use_ray "
            "resources_per_worker accelerator_config heads_k_stride ring_attn_func "
            "qlora_sharded_model_loading",
        ),
        (
            _DATA,
            "datasets test_datasets val_set_size pretraining_dataset pretraining_* pretrain_* dataset_* "
            "num_dataset_shards_to_save skip_prepare_dataset streaming streaming_* preprocess_iterable "
            "shuffle_before_merging_datasets min_sample_len sequence_len eval_sequence_len "
            "excess_length_strategy use_pose pose_*",
        ),
        (_MASK, "train_on_inputs role_boundaries"),
        (
            _TEXT,
            "chat_template chat_template_jinja chat_template_kwargs default_system_message special_tokens tokens "
            "added_tokens_overrides eot_tokens tokenizer_* resize_token_embeddings_to_32x shrink_embeddings "
            "mean_resizing_embeddings fix_untrained_tokens",
        ),
        (
            _ADAPTER,
            "adapter lora_model_dir lora_modules_to_save lora_target_parameters lora_rank_pattern "
            "lora_alpha_pattern lora_fan_in_fan_out merge_lora merge_method peft peft_* relora relora_* "
            "lisa_* unfrozen_parameters embedding_lr embedding_lr_scale loraplus_lr_embedding",
        ),
        (
            _BASE,
            "base_model base_model_config model_revision revision_of_model cls_model_config reinit_weights "
            "scaling_softmax scaling_softmax_* use_onebitllms llama4_linearized_experts ple_cpu_offload "
            "quantize_moe_experts",
        ),
        (
            _PRECISION,
            "bf16 fp16 bfloat16 float16 float32 fp8 fp8_* fp32_norms fp32_norm_classes load_in_4bit "
            "load_in_8bit gptq model_quantization_config model_quantization_config_kwargs bnb_config_kwargs "
            "qat quantization",
        ),
        (
            _STEPS,
            "auto_find_batch_size batch_size batch_flattening eval_batch_size eval_steps eval_strategy "
            "evals_per_epoch save_steps save_strategy saves_per_epoch save_total_limit save_only_model "
            "save_first_step save_safetensors resume_from_checkpoint auto_resume_from_checkpoints "
            "load_best_model_at_end metric_for_best_model greater_is_better logging_steps dynamic_checkpoint "
            "output_dir dataloader_drop_last eval_sample_packing sample_packing sample_packing_* "
            "multipack_real_batches jagged_restart_*",
        ),
        (
            _TASK,
            "rl rl_* trl vllm ebft dpo_* orpo_alpha rpo_alpha cpo_alpha kto_* simpo_gamma precompute_ref_log_probs "
            "max_prompt_len reward_model process_reward_model center_rewards_coefficient num_labels",
        ),
        (
            _OTHER,
            "gradio_* image_* freeze_mm_modules generate_samples generation_* num_generation_samples "
            "eval_table_size eval_max_new_tokens is_*_derived_model gemma4_hybrid_attn_impl "
            "large_head_attention flash_attn_d512",
        ),
        (
            _DEAD,
            "axolotl_config_path strict max_packed_sequence_len rope_scaling noisy_embedding_alpha "
            "evaluation_strategy s2_attention flash_attn_rms_norm flash_optimum flash_attn_cross_entropy "
            "flash_attn_fuse_mlp fused_attn_kernel gc_collect_steps",
        ),
        (
            "write attn_implementation",
            "flash_attention sdp_attention xformers_attention eager_attention flex_attention sage_attention",
        ),
        (_INNER, "is_preprocess total_num_tokens total_supervised_tokens device"),
    ),
    "llamafactory": (
        (
            _CODE,
            "trust_remote_code use_unsloth use_unsloth_gc use_mca use_kt kt_* use_hyper_parallel "
            "hyper_parallel_args use_v1_kernels",
        ),
        (_CREDENTIAL, "*_token swanlab_api_key swanlab_lark_secret"),
        (_NETWORK, "push_to_hub hub_* export_hub_model_id report_to run_name project trackio_* use_swanlab swanlab_*"),
        (
            _SEVERAL,
            "deepspeed fsdp fsdp_config ddp_* local_rank master_* ray_* accelerator_config parallelism_config "
            "average_tokens_across_devices log_on_each_node save_on_each_node data_shared_file_system "
            "log_level_replica fp8_enable_fsdp_float8_all_gather",
        ),
        (
            _DATA,
            "dataset eval_dataset dataset_dir val_size max_samples streaming buffer_size interleave_probs "
            "mix_strategy tokenized_path cutoff_len eval_on_each_dataset overwrite_cache packing neat_packing "
            "media_dir length_column_name",
        ),
        (_MASK, "train_on_prompt mask_history ignore_pad_token_for_loss label_names"),
        (
            _TEXT,
            "template tool_format default_system enable_thinking preserve_thinking split_special_tokens "
            "add_tokens add_special_tokens new_special_tokens_config init_special_tokens resize_vocab "
            "use_fast_tokenizer",
        ),
        (
            _ADAPTER,
            "finetuning_type adapter_* create_new_adapter additional_target use_dora use_rslora pissa_* oft_* "
            "module_dropout freeze_* use_llama_pro use_galore galore_* use_apollo apollo_* use_badam badam_* "
            "use_adam_mini use_muon train_from_scratch loraplus_lr_embedding pure_bf16",
        ),
        (
            _BASE,
            "model_name_or_path model_revision rope_scaling mixture_of_depths shift_attn use_kv_cache "
            "upcast_lmhead_output",
        ),
        (
            _PRECISION,
            "bf16 fp16 fp8 fp8_backend bf16_full_eval fp16_full_eval infer_dtype quantization_* "
            "double_quantization use_cpu",
        ),
        (
            _PATH,
            "cache_dir offload_folder logging_dir profiler_output_dir resume_from_checkpoint output_dir "
            "overwrite_output_dir",
        ),
        (
            _STEPS,
            "auto_find_batch_size eval_* batch_eval_metrics save_* load_best_model_at_end metric_for_best_model "
            "greater_is_better logging_strategy logging_first_step logging_nan_inf_filter dataloader_drop_last "
            "enable_jit_checkpoint restore_callback_states_from_checkpoint ignore_data_skip do_* "
            "prediction_loss_only remove_unused_columns disable_tqdm",
        ),
        (
            _TASK,
            "stage pref_* ppo_* ref_model ref_model_* reward_model reward_model_* kto_* dpo_* simpo_gamma ld_alpha "
            "use_asft_loss asft_alpha",
        ),
        (
            _OTHER,
            "vllm_* sglang_* infer_backend temperature top_k top_p num_beams max_length max_new_tokens "
            "repetition_penalty length_penalty skip_special_tokens generation_* predict_with_generate "
            "sortish_sampler export_* image_* video_* audio_sampling_rate use_audio_in_video crop_to_patches "
            "include_for_metrics print_param_status",
        ),
        ("liger-kernel is not among the locked packages", "enable_liger_kernel use_liger_kernel liger_kernel_config"),
    ),
    "unsloth": (
        (_CODE, "sft.model_init_kwargs load.on_model_resolved"),
        (_CREDENTIAL, "sft.hub_token"),
        (_NETWORK, "sft.push_to_hub sft.hub_* sft.report_to sft.run_name sft.project sft.trackio_*"),
        (
            _SEVERAL,
            "load.device_map load.device_map_planner_kwargs sft.deepspeed sft.fsdp sft.fsdp_config sft.ddp_* "
            "sft.local_rank sft.accelerator_config sft.parallelism_config sft.average_tokens_across_devices "
            "sft.log_on_each_node sft.save_on_each_node sft.log_level_replica",
        ),
        (
            _DATA,
            "sft.dataset_* sft.length_column_name sft.shuffle_dataset sft.max_length sft.truncation_mode "
            "sft.packing sft.packing_strategy sft.eval_packing sft.padding_free",
        ),
        (_MASK, "sft.assistant_only_loss sft.completion_only_loss sft.label_names"),
        (_TEXT, "load.fix_tokenizer load.resize_model_vocab sft.chat_template_path sft.eos_token sft.pad_token"),
        (
            _ADAPTER,
            "lora.ensure_weight_tying lora.finetune_last_n_layers lora.init_lora_weights lora.layers_* "
            "lora.loftq_config lora.modules_to_save lora.target_parameters lora.use_rslora",
        ),
        (_BASE, "load.rope_scaling load.use_exact_model_name load.model_name load.revision"),
        (
            _PRECISION,
            "load.load_in_* load.full_finetuning load.float32_mixed_precision load.qat_scheme lora.qat_scheme "
            "sft.bf16 sft.fp16 sft.bf16_full_eval sft.fp16_full_eval sft.use_cpu",
        ),
        (_PATH, "lora.temporary_location sft.output_dir sft.resume_from_checkpoint"),
        (
            _STEPS,
            "sft.auto_find_batch_size sft.eval_* sft.batch_eval_metrics sft.save_* sft.load_best_model_at_end "
            "sft.metric_for_best_model sft.greater_is_better sft.logging_strategy sft.logging_first_step "
            "sft.logging_nan_inf_filter sft.dataloader_drop_last sft.enable_jit_checkpoint "
            "sft.restore_callback_states_from_checkpoint sft.ignore_data_skip sft.do_* sft.prediction_loss_only "
            "sft.remove_unused_columns sft.disable_tqdm",
        ),
        (
            _OTHER,
            "load.fast_inference load.gpu_memory_utilization load.float8_kv_cache load.max_lora_rank "
            "load.disable_log_stats load.text_only sft.include_for_metrics",
        ),
        (_DEAD, "lora.max_seq_length"),
        ("Unsloth has kernels of its own for it", "sft.use_liger_kernel sft.liger_kernel_config"),
    ),
}

_ALLOWED: dict[TrainerName, str] = {
    "axolotl": (
        "activation_offloading adam_beta1 adam_beta2 adam_beta3 adam_epsilon adam_epsilon2 attn_implementation "
        "chunked_cross_entropy chunked_cross_entropy_num_chunks cosine_constant_lr_ratio cosine_min_lr_ratio "
        "curriculum_sampling dataloader_num_workers dataloader_pin_memory dataloader_prefetch_factor device_map "
        "dion_lr dion_momentum dion_rank_fraction dion_rank_multiple_of eaft_alpha eaft_k embeddings_skip_upcast "
        "experimental_skip_move_to_device flex_attn_compile_kwargs gc_steps gpu_memory_limit "
        "gradient_checkpointing_kwargs group_by_length include_tkps include_tokens_per_second layer_offloading "
        "lora_embedding_kernel lora_mlp_kernel lora_o_kernel lora_on_cpu lora_qkv_kernel loraplus_lr_ratio "
        "loss_watchdog_patience loss_watchdog_threshold low_cpu_mem_usage lr_div_factor lr_groups "
        "lr_quadratic_warmup lr_scheduler_kwargs max_memory neftune_noise_alpha optim_args optim_target_modules "
        "pad_to_multiple_of pad_to_sequence_len profiler_steps profiler_steps_start qgalore_* remove_unused_columns "
        "sdpa_varlen "
        "selective_checkpointing shuffle_merged_datasets tf32 tiled_mlp tiled_mlp_num_shards "
        "tiled_mlp_use_original_mlp torch_compile torch_compile_* torch_empty_cache_steps use_eaft"
    ),
    "llamafactory": (
        "adam_beta1 adam_beta2 adam_epsilon compute_accuracy data_seed dataloader_num_workers "
        "dataloader_persistent_workers dataloader_pin_memory dataloader_prefetch_factor debug "
        "disable_shuffling eaft_alpha enable_torch_profiler flash_attn full_determinism "
        "gradient_checkpointing_kwargs include_effective_tokens_per_second include_num_input_tokens_seen "
        "label_smoothing_factor log_level loraplus_lr_ratio low_cpu_mem_usage "
        "lr_scheduler_kwargs moe_aux_loss_coef neftune_noise_alpha optim_args optim_target_modules plot_loss "
        "preprocessing_batch_size preprocessing_num_workers profile_modules profiler_*_steps profiler_profile_memory "
        "profiler_record_shapes profiler_repeat profiler_with_stack skip_memory_metrics tf32 "
        "torch_compile torch_compile_* torch_empty_cache_steps train_sampling_strategy upcast_layernorm use_cache "
        "use_dft_loss use_eaft_loss use_reentrant_gc"
    ),
    "unsloth": (
        "load.offload_embedding load.unsloth_tiled_mlp lora.checkpoint_skip_layers lora.offload_layers "
        "sft.activation_offloading sft.adam_beta1 sft.adam_beta2 sft.adam_epsilon sft.data_seed "
        "sft.dataloader_in_order sft.dataloader_multiprocessing_context sft.dataloader_num_workers "
        "sft.dataloader_persistent_workers sft.dataloader_pin_memory sft.dataloader_prefetch_factor sft.debug "
        "sft.full_determinism sft.gradient_checkpointing_kwargs sft.include_num_input_tokens_seen "
        "sft.label_smoothing_factor sft.log_level sft.lr_scheduler_kwargs "
        "sft.neftune_noise_alpha sft.optim_args sft.optim_target_modules sft.pad_to_multiple_of "
        "sft.router_aux_loss_coef sft.skip_memory_metrics sft.tf32 sft.torch_compile sft.torch_compile_* "
        "sft.torch_empty_cache_steps sft.train_sampling_strategy sft.use_cache"
    ),
}  # fmt: skip


def refusal_of(trainer: TrainerName, key: str) -> str | None:
    """Why a key (dotted, where it is nested) may not be given to a trainer; None: nothing speaks against it."""
    last = key.rpartition(".")[2]
    if last in FORBIDDEN_ANYWHERE:
        return FORBIDDEN_ANYWHERE[last]
    return next((reason for reason, names in _refused(trainer) if _matches(key, names)), None)


def allowed_keys(trainer: TrainerName) -> tuple[str, ...]:
    """Names, some with `*`, of the keys that were judged and found harmless."""
    return tuple(_ALLOWED[trainer].split())


@cache
def _refused(trainer: TrainerName) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((reason, tuple(names.split())) for reason, names in _REFUSED[trainer])


def _matches(key: str, names: tuple[str, ...]) -> bool:
    return any(fnmatchcase(key, name) for name in names)
