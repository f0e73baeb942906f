#!/usr/bin/env python3
"""Checks that transformers opens what Prospect writes: transformers_reads_ours.py PROSPECT [FAMILY ...]

For each family of tests/golden/parity (and one gpt2 model of our own, drawn from a seed): trains two steps, opens RUN/model in
transformers, and compares the log-probability of every completion token with `prospect score`, and a greedy continuation with `prospect generate`.
Exits 1 on the first difference. Needs torch and transformers (tests/golden/parity/reduce.py names the versions); no part of tests/run.
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PARITY = Path(__file__).resolve().parents[1] / "golden/parity"


def run(prospect, *words):
    subprocess.run([prospect, *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def transformers_logps(model, tokenizer, row):
    prompt = tokenizer(row["prompt"])["input_ids"]
    both = tokenizer(row["prompt"] + row["completion"] + tokenizer.eos_token)["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([both])).logits[0].double()
    logp = torch.log_softmax(logits, -1)
    return [logp[t - 1, both[t]].item() for t in range(len(prompt), len(both))]


def compare(prospect, model_folder, rows_file, folder):
    run(prospect, "score", "--model", model_folder, "--data", rows_file, "--out", folder / "scores")
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32).eval()
    worst = 0.0
    rows = [json.loads(line) for line in rows_file.read_text().splitlines()]
    for line, row in zip((folder / "scores").read_text().splitlines(), rows, strict=True):
        ours, theirs = json.loads(line)["logps"], transformers_logps(model, tokenizer, row)
        assert len(ours) == len(theirs), (len(ours), len(theirs))
        worst = max([worst] + [abs(a - b) / max(1, abs(b)) for a, b in zip(ours, theirs)])
    prompts = folder / "prompts"
    prompts.write_text("".join(json.dumps({"prompt": row["prompt"]}) + "\n" for row in rows))
    run(prospect, "generate", "--model", model_folder, "--data", prompts, "--out", folder / "texts", "--temperature", 0, "--max-new-tokens", 16)
    for line in (folder / "texts").read_text().splitlines():
        text = json.loads(line)
        ids = tokenizer(text["prompt"], return_tensors="pt")
        full = model.generate(**ids, do_sample=False, max_new_tokens=16, pad_token_id=tokenizer.eos_token_id)
        expected = tokenizer.decode(full[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
        assert text["completion"] == expected, (text["completion"], expected)
    return worst


def write_seed_model(start):
    """A GPT-2 of our own that has only a config and a tokenizer."""
    start.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (start / name).write_bytes((PARITY / "gpt2" / name).read_bytes())
    config = json.loads((PARITY / "gpt2/config.json").read_text())
    (start / "config.json").write_text(json.dumps(config | {"n_embd": 96, "n_head": 6, "n_layer": 2}))


def main():
    prospect, families = sys.argv[1], sys.argv[2:] or ["gpt2", "llama", "smollm"]
    for family in [*families, "own"]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            source, more = PARITY / family, []
            if family == "own":
                source, more = folder / "start", ["--objective", "lm", "--from-scratch"]
                write_seed_model(source)
            rows = PARITY / ("gpt2" if family == "own" else family) / "rows.jsonl"
            run(prospect, "train", "--model", source, "--data", rows, "--out", folder / "run", "--max-steps", 2, "--learning-rate", "1e-3", *more)
            worst = compare(prospect, folder / "run/model", rows, folder)
            print(f"{family}: largest difference {worst:.1e} of max(1, |logp|)")
            assert worst < 1e-5


if __name__ == "__main__":
    main()
