#!/usr/bin/env python3
"""Small GGUF files and what they hold, by the `gguf` package (0.19): run by hand, in an environment that has it.

    python3 write.py

types.gguf     a tensor [3, 64] of each type that is read, keys of every type; types.json: the values that gguf dequantises, as bits of
               float32, and the keys
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


def write_llama():
    folder = HERE.parent / "parity" / "smollm"
    config = json.loads((folder / "config.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    writer = gguf.GGUFWriter(HERE / "llama.gguf", "llama")
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
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
