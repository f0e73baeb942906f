"""Makes tiny-reviews/, the small model of `train/quickstart --tiny`, from scratch: python3 train/demo/make_tiny.py

A Llama of 1.0M parameters learns to write reviews from the 1992 that neither the judge nor the test sees: first a vocabulary of 2048
byte-level tokens, then the weights, by `prospect train --objective lm`. About a minute on two cores.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import bpe
import fetch
import reviews
from command import Failure, Runner
from recipe import TINY_MODEL

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 2048,
    "hidden_size": 128,
    "intermediate_size": 352,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 512,
    "rope_theta": 10000.0,
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": True,
    "initializer_range": 0.02,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
    "torch_dtype": "bfloat16",
    "dtype": "bfloat16",
}
TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": bpe.END,
    "eos_token": bpe.END,
    "pad_token": bpe.END,
    "clean_up_tokenization_spaces": False,
    "model_max_length": CONFIG["max_position_embeddings"],
}
OPTIONS = (
    "--objective lm --from-scratch --num-train-epochs 8 --per-device-train-batch-size 32 --max-length 200 --learning-rate 3e-3 "
    "--lr-scheduler-type cosine --warmup-steps 30 --weight-decay 0.1 --adam-beta2 0.95 --seed 0 --save-steps 0 --logging-steps 50"
).split()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--cache", type=Path, default=Path.home() / ".cache/prospect", help="where downloads are kept"
    )
    parser.add_argument(
        "--prospect",
        type=Path,
        default=TINY_MODEL.parents[2] / "build/cpu-release/prospect",
        help="the program",
    )
    parser.add_argument("--out", type=Path, default=TINY_MODEL, help="the model's folder")
    args = parser.parse_args()
    texts = [text for text, _ in reviews.read(fetch.reviews(args.cache))["model"]]
    with tempfile.TemporaryDirectory() as folder:
        start, rows, out = (Path(folder) / name for name in ("start", "rows.jsonl", "run"))
        write_start(start, texts)
        reviews.write(rows, [lm_row(text) for text in texts])
        Runner()(args.prospect, "train", "--model", start, "--data", rows, "--out", out, *OPTIONS)
        shutil.copytree(out / "model", args.out, dirs_exist_ok=True)


def write_start(folder, texts):
    """What training from scratch starts from: a model folder without weights."""
    folder.mkdir()
    for name, value in (("config.json", CONFIG), ("tokenizer_config.json", TOKENIZER_CONFIG)):
        (folder / name).write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    (folder / "tokenizer.json").write_text(
        bpe.tokenizer_json(*bpe.learn(texts, CONFIG["vocab_size"])), encoding="utf-8"
    )


def lm_row(text):
    """A row whose completion is all but the first word, as a review begins where the model writes one: at position 0."""
    first, _, rest = text.partition(" ")
    return {"prompt": first, "completion": " " + rest, "label": True}


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"make_tiny: {failure}", file=sys.stderr)
        sys.exit(failure.code)
