#!/usr/bin/env python3
"""Cut a folder of parity cases down to what the tree keeps.

    python3 reduce.py PARITY_FOLDER [ROWS]

PARITY_FOLDER holds one folder a model family: model/ (a Hugging Face folder), rows.jsonl, ids.jsonl (TRL's ids),
scores.jsonl (transformers' log-probabilities), trl/<run>/ (what TRL's KTOTrainer made of the model and the rows).
Beside this script, for each family, the first ROWS lines (8) of these three and the tokenizer and configuration files
of the model are written; for families of TRL_FAMILIES also all rows and the configuration and metrics of the runs on
one rank. Standard library only.
"""
import shutil
import sys
from pathlib import Path

MODEL_FILES = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]
LINE_FILES = ["rows.jsonl", "ids.jsonl", "scores.jsonl"]
TRL_FAMILIES = ["gpt2", "llama", "smollm", "llama3", "qwen2", "qwen3"]
TRL_RUNS = ["kto", "kto-weighted-accumulated", "apo-zero-unpaired", "kto-clipped"]


def copy_runs(case, target):
    shutil.copyfile(case / "rows.jsonl", target / "rows48.jsonl")
    for run in TRL_RUNS:
        (target / "trl" / run).mkdir(parents=True, exist_ok=True)
        for name in ["config.json", "metrics.jsonl"]:
            shutil.copyfile(case / "trl" / run / name, target / "trl" / run / name)


def main():
    source, here = Path(sys.argv[1]), Path(__file__).parent
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else 8
    for case in sorted(path for path in source.iterdir() if (path / "rows.jsonl").exists()):
        target = here / case.name
        target.mkdir(exist_ok=True)
        for name in MODEL_FILES:
            shutil.copyfile(case / "model" / name, target / name)
        for name in LINE_FILES:
            lines = (case / name).read_text().splitlines(keepends=True)
            (target / name).write_text("".join(lines[:rows]))
        if case.name in TRL_FAMILIES:
            copy_runs(case, target)


if __name__ == "__main__":
    main()
