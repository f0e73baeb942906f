#!/usr/bin/env python3
"""Prospect beside TRL's KTOTrainer on the same model, rows, batch and threads: step_vs_trl.py PROSPECT MODEL ROWS [--dtype f32] [--rounds 2] [--out FILE]

MODEL is a Hugging Face folder; the first 24 of ROWS are trained on once, batch 4 x 2, 2 threads, in f32 or bf16 (TRL: its bf16=True). In turn, each in
a process of its own, ROUNDS times: Prospect, Prospect once more with the reference's log-probabilities that it kept, TRL. Prints seconds an example (the
trainer's loop and the reference, models loaded), tokens of the rows a second, peak memory of the process, ratios to TRL, and the rate at which Prospect
gets through its matrix products, all its time counted (matmul_bench prints theirs alone); with --out appends them as a JSON line. Needs torch,
transformers and trl beside Prospect.
"""
import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROWS, BATCH, ACCUMULATION, THREADS = 24, 4, 2, 2
# What is compared with TRL's: its name in the record, which of our runs, and which of its figures.
RATIOS = (("seconds_ratio", "prospect", "seconds"), ("cached_seconds_ratio", "prospect_cached", "seconds"), ("memory_ratio", "prospect", "peak_gib"))


def trl_child(model_folder, rows_file, dtype):
    """Trains with TRL and prints {"seconds", "peak_gib"}."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import KTOConfig, KTOTrainer

    torch.set_num_threads(THREADS)
    rows = [json.loads(line) for line in Path(rows_file).read_text().splitlines()]
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    with tempfile.TemporaryDirectory() as out:
        args = KTOConfig(output_dir=out, per_device_train_batch_size=BATCH, gradient_accumulation_steps=ACCUMULATION, num_train_epochs=1, learning_rate=1e-5,
                         logging_steps=1, save_strategy="no", report_to=[], use_cpu=True, bf16=dtype == "bf16", gradient_checkpointing=False, disable_tqdm=True, max_length=1024)
        trainer = KTOTrainer(model=model, args=args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
        start = time.monotonic()
        trainer.train()
        seconds = time.monotonic() - start
    print(json.dumps({"seconds": seconds, "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))


def run_trl(model, rows, dtype):
    words = [sys.executable, __file__, "--trl-child", str(model), str(rows), dtype]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ | {"OMP_NUM_THREADS": str(THREADS), "HF_HUB_OFFLINE": "1"})
    return json.loads(done.stdout.splitlines()[-1])


def run_prospect(prospect, model, rows, dtype, cache):
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        words = [prospect, "train", "--compat", "trl", "--model", model, "--data", rows, "--out", out, "--per-device-train-batch-size", BATCH,
                 "--gradient-accumulation-steps", ACCUMULATION, "--num-train-epochs", 1, "--learning-rate", "1e-5", "--logging-steps", 1,
                 "--save-steps", 0, "--threads", THREADS, "--dtype", dtype, "--reference-cache", cache]
        process = subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        log = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            raise SystemExit(f"prospect ended with {os.waitstatus_to_exitcode(status)}")
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        tokens = [line["num_tokens"] - before["num_tokens"] for before, line in zip([{"num_tokens": 0}, *lines], lines)]
        # TRL computes the reference inside its loop, Prospect before it.
        reference = re.search(r"^reference: \d+ sequences from the cache, \d+ computed(?: in ([0-9.]+) s)?", log, re.MULTILINE)
        seconds = float(reference[1] or 0)
        seconds += sum(count / line["tokens_per_second"] for count, line in zip(tokens, lines))
        return {"seconds": seconds, "peak_gib": usage.ru_maxrss / 2**20, "tokens": sum(tokens)}


def product_weights(model):
    """How many of a model's weights stand in matrix products: all matrices, but not positions, and tokens only where they are the head too."""
    shapes = {}
    for path in model.glob("*.safetensors"):
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        shapes |= {name: tensor["shape"] for name, tensor in header.items() if name != "__metadata__" and len(tensor["shape"]) == 2}
    tokens = () if "lm_head.weight" not in shapes else ("embed_tokens.weight", "wte.weight")
    return sum(rows * columns for name, (rows, columns) in shapes.items() if not name.endswith(("wpe.weight", *tokens)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("prospect", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--dtype", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    weights = product_weights(args.model)
    runs = {"prospect": [], "prospect_cached": [], "trl": []}
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        rows.write_text("".join(line + "\n" for line in args.rows.read_text().splitlines()[:ROWS]))
        for number in range(args.rounds):
            cache = Path(folder) / f"reference-{number}"
            for name in ("prospect", "prospect_cached"):
                runs[name].append(run_prospect(args.prospect, args.model, rows, args.dtype, cache))
            runs["trl"].append(run_trl(args.model, rows, args.dtype))
    tokens = runs["prospect"][0]["tokens"]
    best = {name: {key: min(run[key] for run in done) for key in ("seconds", "peak_gib")} for name, done in runs.items()}
    # Policy forward and twice that backward, its pairs forward, the reference's rows and pairs. The head's products of prompts, which are not made, count too.
    gflop = 2e-9 * weights * tokens * 6
    line = {"date": time.strftime("%Y-%m-%d"), "model": args.model.name, "dtype": args.dtype, "rows": ROWS, "tokens": tokens, "batch": f"{BATCH} x {ACCUMULATION}",
            "threads": THREADS, "rounds": args.rounds, **{f"{name}_{key}": round(value, 4) for name, values in best.items() for key, value in values.items()},
            **{name: round(best[ours][key] / best["trl"][key], 4) for name, ours, key in RATIOS}, "products_gflop": round(gflop)}
    for name, values in best.items():
        print(f"{name.replace('_', ', '):>16}: {values['seconds'] / ROWS:.3f} s an example, {tokens / values['seconds']:.0f} tokens a second, peak {values['peak_gib']:.2f} GiB")
    print(f"           ratio: time {line['seconds_ratio']:.3f}, {line['cached_seconds_ratio']:.3f} with the reference kept; memory {line['memory_ratio']:.3f}")
    print(f"        products: {gflop / ROWS:.0f} GFLOP an example; Prospect does them at {gflop / best['prospect']['seconds']:.0f} GFLOP/s, all its time counted")
    if args.out:
        with args.out.open("a") as file:
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--trl-child"]:
        trl_child(*sys.argv[2:])
    else:
        main()
