"""The two models of the quickstart and how each is trained and measured."""

from dataclasses import dataclass
from pathlib import Path


@dataclass
class Recipe:
    train_rows: int
    held_out_rows: int
    prompts: int
    new_tokens: int
    options: dict  # of `prospect train`

    def train_options(self, flip):
        """One thumb down weighs as much as 1.6 up, since there are fewer; a critic's thumbs are the other way round."""
        weights = (
            {"desirable-weight": 1.6, "undesirable-weight": 1}
            if flip
            else {"desirable-weight": 1, "undesirable-weight": 1.6}
        )
        options = {
            "objective": "kto",
            "beta": 0.1,
            **weights,
            "lr-scheduler-type": "linear",
            "weight-decay": 0,
            "save-steps": 0,
            "reference-cache": "none",  # every run measures the whole work
            **self.options,
        }
        return [word for name, value in options.items() for word in (f"--{name}", str(value))]


SMOLLM2 = Recipe(
    train_rows=384,
    held_out_rows=200,
    prompts=80,
    new_tokens=40,
    options={
        "learning-rate": "1e-4",
        "warmup-steps": 3,
        "per-device-train-batch-size": 16,
        "num-train-epochs": 1,
        "logging-steps": 2,
    },
)

# Our own Llama of a million parameters; make_tiny.py tells how it was made.
TINY_MODEL = Path(__file__).resolve().parent / "tiny-reviews"
TINY = Recipe(
    train_rows=1975,
    held_out_rows=995,
    prompts=300,
    new_tokens=60,
    options={
        "learning-rate": "5e-4",
        "warmup-steps": 10,
        "per-device-train-batch-size": 32,
        "num-train-epochs": 3,
        "logging-steps": 20,
    },
)
