#!/usr/bin/env python3
"""Greedy continuations of the parity models by transformers: write.py PARITY_CASES OUT.json

For each of gpt2, llama, smollm, llama3, qwen2, qwen3: the first 6 prompts of rows.jsonl as ids, and the 24 ids that
greedy search writes after each (it stops before the end-of-sequence token). Packages: ../parity requirements.
"""
import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM


def greedy(model, prompt, count, end):
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(count):
            token = int(model(torch.tensor([ids])).logits[0, -1].argmax())
            if token == end:
                break
            ids.append(token)
    return ids[len(prompt):]


def main():
    cases, out = Path(sys.argv[1]), Path(sys.argv[2])
    golden = {}
    for family in ("gpt2", "llama", "smollm", "llama3", "qwen2", "qwen3"):
        model = AutoModelForCausalLM.from_pretrained(cases / family / "model", dtype=torch.float32).eval()
        lines = (cases / family / "ids.jsonl").read_text().splitlines()[:6]
        prompts = [json.loads(line)["prompt_ids"] for line in lines]
        golden[family] = [{"prompt": p, "continuation": greedy(model, p, 24, model.config.eos_token_id)} for p in prompts]
    out.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
