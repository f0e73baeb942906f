#!/usr/bin/env python3
"""Small GGUF files and what they hold, by the `gguf` package (0.19): run by hand, in an environment that has it.

    python3 write.py

types.gguf     a tensor [3, 64] of each type that is read, keys of every type; types.json: the values that gguf dequantises, as bits of
               float32, and the keys
qwen2.gguf, qwen3.gguf, mistral.gguf   the models of ../families, F32: no permutation for the first two; the last one is a llama with a
               window and the divisors of Llama 3's rope stretching by 32
llama.gguf     the smollm parity model as llama.cpp's converter writes it: q and k rows permuted, names changed, norms F32, matrices F16
"""
import json
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize
from safetensors.numpy import load_file

HERE = Path(__file__).parent
KINDS = [Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1]


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_types():
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(HERE / "types.gguf", "llama")
    writer.add_uint8("test.u8", 250)
    writer.add_int8("test.i8", -5)
    writer.add_uint32("test.u32", 4000000000)
    writer.add_int64("test.i64", -(2**40))
    writer.add_uint64("test.u64", 2**40)
    writer.add_float32("test.f32", 0.1)
    writer.add_float64("test.f64", 0.1)
    writer.add_bool("test.bool", True)
    writer.add_string("test.text", "na\u00efve \U0001f600")
    writer.add_array("test.texts", ["a", "", "bc"])
    writer.add_array("test.integers", [1, -2, 3])
    writer.add_array("test.floats", [0.5, -1.5])
    expected = {}
    for kind in KINDS:
        values = random.standard_normal((3, 64)).astype(np.float32)
        values[0, :32] *= 1e-6  # scales that are subnormal halves
        values[1, :32] = 0
        stored = quantize(values, kind)
        writer.add_tensor(kind.name, stored, raw_dtype=kind)
        expected[kind.name] = [int(x) for x in dequantize(stored, kind).astype(np.float32).reshape(-1).view(np.uint32)]
    finish(writer)
    (HERE / "types.json").write_text(json.dumps(expected) + "\n")


def permute(weights, heads):
    """llama.cpp's conversion of half-split rotary pairs to interleaved ones."""
    return weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def add_sizes(writer, config, theta=None):
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(theta or config["rope_parameters"]["rope_theta"])


def rope_divisors(theta, size, factor):
    """As llama.cpp's converter makes them for Llama 3, in fp32."""
    frequencies = np.float32(1) / np.float32(theta) ** (np.arange(0, size, 2, dtype=np.float32) / np.float32(size))
    turns = 8192 * frequencies / np.float32(2 * np.pi)
    smooth = np.clip((turns - 1) / 3, 0, 1)
    return (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)


def write_families():
    kinds = {"qwen2": gguf.MODEL_ARCH.QWEN2, "qwen3": gguf.MODEL_ARCH.QWEN3, "mistral": gguf.MODEL_ARCH.LLAMA}
    for family, kind in kinds.items():
        folder = HERE.parent / "families" / family
        config = json.loads((folder / "config.json").read_text())
        writer = gguf.GGUFWriter(HERE / f"{family}.gguf", gguf.MODEL_ARCH_NAMES[kind])
        add_sizes(writer, config, 500000.0 if family == "mistral" else None)
        writer.add_key_length(config["head_dim"])
        names = gguf.get_tensor_name_map(kind, config["num_hidden_layers"])
        for name, values in load_file(folder / "model.safetensors").items():
            if family == "mistral" and "q_proj" in name:
                values = permute(values, config["num_attention_heads"])
            if family == "mistral" and "k_proj" in name:
                values = permute(values, config["num_key_value_heads"])
            writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), values)
        if family == "mistral":
            writer.add_sliding_window(config["sliding_window"])
            writer.add_tensor("rope_freqs.weight", rope_divisors(500000, config["head_dim"], 32))
        finish(writer)


def write_llama():
    folder = HERE.parent / "parity" / "smollm"
    config = json.loads((folder / "config.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    writer = gguf.GGUFWriter(HERE / "llama.gguf", "llama")
    add_sizes(writer, config)
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_eos_token_id(config["eos_token_id"])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for name, values in tensors.items():
        if name.endswith("q_proj.weight"):
            values = permute(values, config["num_attention_heads"])
        if name.endswith("k_proj.weight"):
            values = permute(values, config["num_key_value_heads"])
        stored = values.astype(np.float32 if values.ndim == 1 else np.float16)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), stored)
    finish(writer)


if __name__ == "__main__":
    write_types()
    write_llama()
    write_families()
