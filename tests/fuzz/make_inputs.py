#!/usr/bin/env python3
"""Writes tests/fuzz/inputs/<target>/sound-*: small sound files that mutations start from, and some of the others, which
broke a reader once and are named after how. Needs the standard library only.
  tests/fuzz/make_inputs.py"""

import json
import pathlib
import struct

ROOT = pathlib.Path(__file__).resolve().parent / "inputs"
HIDDEN, VOCABULARY, INNER = 8, 3, 2
LAYER = {
    "input_layernorm": [HIDDEN],
    "self_attn.q_proj": [HIDDEN, HIDDEN],
    "self_attn.k_proj": [HIDDEN, HIDDEN],
    "self_attn.v_proj": [HIDDEN, HIDDEN],
    "self_attn.o_proj": [HIDDEN, HIDDEN],
    "post_attention_layernorm": [HIDDEN],
    "mlp.gate_proj": [INNER, HIDDEN],
    "mlp.up_proj": [INNER, HIDDEN],
    "mlp.down_proj": [HIDDEN, INNER],
}
GGUF_LAYER = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}


def write(target, name, content):
    write_file(target, f"sound-{name}", content)


def write_file(target, name, content):
    folder = ROOT / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def count(shape):
    total = 1
    for size in shape:
        total *= size
    return total


def safetensors(tensors, metadata=None):
    """tensors: name -> (dtype, shape, bytes each)."""
    header, offset = {} if metadata is None else {"__metadata__": metadata}, 0
    for name, (dtype, shape, each) in tensors.items():
        end = offset + count(shape) * each
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + bytes(i % 64 for i in range(offset))


def model_shapes():
    shapes = {"model.embed_tokens.weight": [VOCABULARY, HIDDEN]}
    shapes.update({f"model.layers.0.{name}.weight": shape for name, shape in LAYER.items()})
    return shapes | {"model.norm.weight": [HIDDEN]}


def write_safetensors():
    model = {name: ("F16", shape, 2) for name, shape in model_shapes().items()}
    write("safetensors", "model", safetensors(model, {"format": "pt"}))
    kinds = {"F64": 8, "F32": 4, "BF16": 2, "I64": 8, "U8": 1, "F8_E4M3": 1}
    write("safetensors", "dtypes", safetensors({f"t{i}": (d, [2, i], b) for i, (d, b) in enumerate(kinds.items())}))
    write("safetensors", "empty", safetensors({}))
    shards = {"a": "1.safetensors", "b": "2.safetensors"}
    write("safetensors_index", "two", json.dumps({"metadata": {"total_size": 2}, "weight_map": shards}))
    write("safetensors_index", "one", json.dumps({"weight_map": {"a": "1.safetensors"}}))


def gguf_text(text):
    return struct.pack("<Q", len(text.encode())) + text.encode()


def gguf_value(value):
    """A type, then a value: whole numbers as u32, lists by their first element."""
    if isinstance(value, bool):
        return struct.pack("<IB", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + gguf_text(value)
    items = [gguf_value(item) for item in value]
    return struct.pack("<I", 9) + items[0][:4] + struct.pack("<Q", len(items)) + b"".join(i[4:] for i in items)


def gguf(values, tensors):
    """tensors: (name, our shape, type, number of bytes, or the bytes)."""
    text = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
    for key, value in values.items():
        text += gguf_text(key) + gguf_value(value)
    data = b""
    for name, shape, kind, content in tensors:
        text += gguf_text(name) + struct.pack("<I", len(shape))
        text += b"".join(struct.pack("<Q", size) for size in reversed(shape)) + struct.pack("<IQ", kind, len(data))
        data += content if isinstance(content, bytes) else bytes(i % 64 for i in range(content))
        data += bytes(-len(data) % 32)
    return text + (bytes(-len(text) % 32) + data if tensors else b"")


def write_gguf():
    tokens = ["<s>", "a", "aa"]
    values = {
        "general.architecture": "llama", "llama.embedding_length": HIDDEN, "llama.block_count": 1,
        "llama.attention.head_count": 1, "llama.attention.head_count_kv": 1, "llama.feed_forward_length": INNER,
        "llama.context_length": 4, "llama.rope.freq_base": 10000.0, "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm", "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3, 1, 1], "tokenizer.ggml.merges": ["a a"], "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 0, "tokenizer.ggml.add_bos_token": True,
    }
    names = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    names |= {f"model.layers.0.{ours}.weight": f"blk.0.{theirs}.weight" for ours, theirs in GGUF_LAYER.items()}
    f16 = [(names[name], shape, 1 if len(shape) > 1 else 0, count(shape) * (2 if len(shape) > 1 else 4))
           for name, shape in model_shapes().items()]
    write("gguf", "model", gguf(values, f16))
    divisors = [("rope_freqs.weight", [HIDDEN // 2], 0, struct.pack("<4f", 1, 1, 1, 1))]
    write("gguf", "divisors", gguf(values, f16 + divisors))
    blocks = [("q8", [1, 32], 8, 34), ("q4", [1, 32], 2, 18), ("q41", [1, 32], 3, 20), ("f64", [2], 28, 16)]
    keys = {"general.alignment": 32, "list": [1, 2], "numbers": [1.5], "flag": False, "tokenizer.ggml.tokens": ["a"]}
    write("gguf", "types", gguf(keys, blocks))
    huge = gguf_text("t") + struct.pack("<IQQQIQ", 3, 0, 2**62, 2**62, 0, 0)
    write_file("gguf", "zero-size-before-overflow", b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + huge + bytes(64))
    write("gguf", "empty", gguf({"general.architecture": "qwen2"}, []))


def tokenizer(pre_tokenizer, **changes):
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    vocab = ["<s>", "a", "b", "ab", "\u0120", "\u0120a", "l", "o"]
    added = {"id": 0, "content": "<s>", "single_word": False, "lstrip": True, "rstrip": False, "normalized": False,
             "special": True}
    template = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                                                          {"Sequence": {"id": "A", "type_id": 0}}],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}}
    model = {"type": "BPE", "unk_token": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
             "vocab": {token: i for i, token in enumerate(vocab)}, "merges": [["a", "b"], "\u0120 a"]}
    model.update(changes)
    return json.dumps({"version": "1.0", "added_tokens": [added], "normalizer": {"type": "NFC"},
                       "pre_tokenizer": pre_tokenizer or byte_level, "post_processor": template,
                       "decoder": byte_level, "model": model}, ensure_ascii=False)


def write_tokenizer():
    split = {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": "(?i:'s|'t)|[^\\r\\n\\p{L}]?\\p{L}+|\\p{N}{1,3}|\\s+(?!\\S)|\\s+"},
         "behavior": "Isolated", "invert": False},
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}
    config = json.dumps({"bos_token": "<s>", "eos_token": {"content": "<s>"}, "add_bos_token": True})
    write("tokenizer", "byte-level", tokenizer(None))
    write("tokenizer", "split", tokenizer(split, unk_token="<s>", fuse_unk=True) + "\0" + config + "\0<s> ab <s>")
    split["pretokenizers"][0]["pattern"]["Regex"] = "x|a(?<=\\Kxa)"
    write_file("tokenizer", "match-before-the-one-before", tokenizer(split) + "\0\0xa")
    split["pretokenizers"][0]["pattern"]["Regex"] = "\\s+"
    write("tokenizer", "whole", tokenizer(split, ignore_merges=True) + "\0\0ab ab")


def config(model_type, **more):
    sizes = {"model_type": model_type, "vocab_size": VOCABULARY, "hidden_size": HIDDEN, "num_hidden_layers": 1,
             "num_attention_heads": 1, "num_key_value_heads": 1, "intermediate_size": INNER,
             "max_position_embeddings": 4, "rms_norm_eps": 1e-5}
    return json.dumps(sizes | more)


def write_config():
    rope = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 2}
    write("config_json", "llama", config("llama", rope_scaling=rope, rope_theta=5e5, eos_token_id=[1, 2]))
    write("config_json", "mistral", config("mistral", sliding_window=2, head_dim=8, tie_word_embeddings=True))
    write("config_json", "qwen2", config("qwen2", use_sliding_window=True, sliding_window=2, max_window_layers=1))
    write("config_json", "qwen3", config("qwen3", layer_types=["full_attention"], torch_dtype="bfloat16"))
    gpt2 = {"model_type": "gpt2", "vocab_size": 3, "n_embd": 8, "n_layer": 1, "n_head": 1, "n_positions": 4,
            "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "bos_token_id": 0, "eos_token_id": 0}
    write("config_json", "gpt2", json.dumps(gpt2))


def write_text():
    row = {"prompt": "q", "completion": " a\u00e9", "label": True}
    rows = [row, row | {"label": 0, "id": {"a": [1, None]}}]
    write("rows", "labels", "\ufeff" + "\n".join(json.dumps(row) for row in rows) + "\r\n\n")
    write("rows", "pairs", json.dumps({"prompt": "", "chosen": "x\\", "rejected": "\ud83d\ude00"}) + "\n")
    write_file("toml", "delete-character", 'model = "\\u007f"\n')
    write("toml", "options", 'model = "m"  # a comment\ndata = \'d\'\nout = """o"""\nobjective = "kto"\n'
                             "beta = 1e-1\nmax_steps = 0x10\nresume = false\nlearning_rate = inf\n")
    write("toml", "tables", '[a.b]\nc = [1, {d = 1979-05-27T07:32:00Z}]\n[[e]]\n"f".g = -1_0\n')
    kto = {"output_dir": "o", "beta": 0.1, "loss_type": "kto", "bf16": True, "max_length": None, "save_strategy": "no",
           "eval_strategy": "steps", "eval_steps": 2.0, "optim": "adamw_torch", "report_to": ["none"],
           "lr_scheduler_type": "constant_with_warmup", "warmup_steps": 3, "fp16": False, "fsdp": []}
    write("trl_config", "kto", json.dumps(kto))


def write_logps():
    header = b"prospect logps 1" + struct.pack("<QQQQQ", 1, 2, 4, 2, 0)
    table = struct.pack("<QQQQ", 3, 4, 2, 0) + struct.pack("<QQQQ", 5, 6, 0, 0)
    write("logp_file", "two", header + table + bytes(8))
    write("logp_file", "none", b"prospect logps 1" + struct.pack("<QQQQQ", 1, 2, 4, 0, 0))


def write_manifest():
    """Of the files that checkpoint_fuzz.cpp writes; it also puts in the manifest's own checksum."""
    state = {"name": "state.json", "bytes": 2, "xxh3_128": "dc7048f8f8747f561349cde127705c16"}
    values = {"name": "values.bin", "bytes": 16, "xxh3_128": "2babafcad3709c7ce3b3073547aa9dc3",
              "dtype": "F32", "shape": [2, 2]}
    write("checkpoint", "manifest", json.dumps({"format": 1, "step": 3, "files": [state, values]}, indent=1))


def write_run_state():
    options = 'model = "m"\ndata = "d"\nout = "o"\nbeta = 0.1\n'
    state = {"format": 1, "step": 3, "skipped": 1, "tokens_seen": 120.0, "window": [1, 2.5], "guards": [0.25],
             "data_digest": 2**64 - 1, "options": options}
    write("run_state", "three-steps", json.dumps(state))


if __name__ == "__main__":
    for step in (write_safetensors, write_gguf, write_tokenizer, write_config, write_text, write_logps, write_manifest,
                 write_run_state):
        step()
