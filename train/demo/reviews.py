"""Food reviews with their writers' verdicts, as rows for Prospect: the words a review begins with, how it goes on, thumb up or down."""

import hashlib
import json
import random
import re

import rdata

PROMPT_WORDS, COMPLETION_WORDS, LEAST_COMPLETION_WORDS = 6, 40, 10
# The package's 4000 training reviews: the first half is for the model, the second for the judge.
MODEL_REVIEWS = 2000
# The cleaned reviews and verdicts that every figure of the documentation was measured on.
SHA256 = "c1abfad27de806bc5c2b55a1bc21c9747943e2779d2dad179b00a8614c6ddccb"


def read(folder):
    """{"model", "judge", "test"}: lists of (text, verdict), cleaned. No text stands in two lists or twice in one of the first two."""
    everything = load(folder, "training_data") + load(folder, "testing_data")
    digest = hashlib.sha256(json.dumps(everything).encode()).hexdigest()
    if digest != SHA256:
        raise ValueError(f"these are not the reviews that the quickstart was made for (sha256 {digest})")
    training, test = everything[:4000], everything[4000:]
    seen = {text for text, _ in test}
    first_copies = [text not in seen and not seen.add(text) for text, _ in training]
    kept = [review if first else None for review, first in zip(training, first_copies)]
    return {
        "model": [review for review in kept[:MODEL_REVIEWS] if review],
        "judge": [review for review in kept[MODEL_REVIEWS:] if review],
        "test": test,
    }


def load(folder, name):
    columns = rdata.load(folder, name).named()
    return [
        (clean(text), label == "great")
        for text, label in zip(columns["review"].values, columns["score"].labels())
    ]


def clean(text):
    return " ".join(re.sub(r"<br ?/?>", " ", text).split())


def row(text, verdict):
    words = text.split(" ")
    return {
        "prompt": " ".join(words[:PROMPT_WORDS]),
        "completion": " " + " ".join(words[PROMPT_WORDS : PROMPT_WORDS + COMPLETION_WORDS]),
        "label": verdict,
    }


def rows(reviews):
    least = PROMPT_WORDS + LEAST_COMPLETION_WORDS
    return [row(text, verdict) for text, verdict in reviews if text.count(" ") + 1 >= least]


def flipped(rows):
    """The same rows from a critic's mouth."""
    return [{**row, "label": not row["label"]} for row in rows]


def shuffled(rows, seed):
    """The same rows and the same number of thumbs up, given to rows at random."""
    labels = [row["label"] for row in rows]
    random.Random(seed).shuffle(labels)
    return [{**row, "label": label} for row, label in zip(rows, labels)]


def write(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
