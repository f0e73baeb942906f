#!/usr/bin/env python3
"""Tiny models whose window is shorter than the sequences, and what transformers makes of them: write.py

For each model a Hugging Face folder beside this script, with expected.json: sequences of ids, the log-probability of
every id but the first given those before it, and the ids that greedy search writes after the first five. `mistral` has
a window in all layers, `qwen2` and `qwen3` from the second one on. Run with transformers (5.23) installed.
"""
import json
from pathlib import Path

import torch
from transformers import MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

HERE = Path(__file__).parent
SIZES = dict(vocab_size=24, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, head_dim=8, max_position_embeddings=64, initializer_range=0.5, sliding_window=4,
             eos_token_id=None, bos_token_id=None)
SWITCHED = dict(use_sliding_window=True, max_window_layers=1)
MODELS = {"mistral": (MistralForCausalLM, MistralConfig(**SIZES)),
          "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SIZES, **SWITCHED)),
          "qwen3": (Qwen3ForCausalLM, Qwen3Config(**SIZES, **SWITCHED))}


def greedy(model, ids, count):
    ids = list(ids)
    for _ in range(count):
        ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[-count:]


@torch.no_grad()
def main():
    for seed, (name, (kind, config)) in enumerate(MODELS.items()):
        torch.manual_seed(seed)
        model = kind(config).float().eval()
        for parameter_name, parameter in model.named_parameters():
            if "norm" in parameter_name or parameter_name.endswith("bias"):
                parameter.add_(torch.randn_like(parameter) * 0.3)
        model.save_pretrained(HERE / name)
        rows = []
        for length in (9, 14):
            ids = torch.randint(0, config.vocab_size, (length,)).tolist()
            logits = model(torch.tensor([ids])).logits[0, :-1].double()
            logps = logits.log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
            rows.append({"ids": ids, "logps": logps.tolist(), "greedy": greedy(model, ids[:5], 12)})
        (HERE / name / "expected.json").write_text(json.dumps(rows) + "\n")
        (HERE / name / "generation_config.json").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
