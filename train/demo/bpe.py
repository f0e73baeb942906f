"""Learns a byte-level BPE vocabulary from texts and writes it in the form of Hugging Face's tokenizer.json."""

import json
import re
from collections import Counter

END = "<|end|>"
# GPT-2's split: a word, number or run of signs takes the space before it along.
PIECES = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+| ?\d+| ?(?:[^\w\s]|_)+|\s+(?!\S)|\s+")


def byte_letters():
    """GPT-2's printable stand-in for each byte: itself where it prints, the next free code point from 256 on otherwise."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {
        **{byte: chr(byte) for byte in printable},
        **{byte: chr(256 + i) for i, byte in enumerate(others)},
    }


def learn(texts, size):
    """(vocabulary, merges) of `size` tokens: END, the 256 bytes, and a token for each merge, the most frequent pair first."""
    letters = byte_letters()
    counted = Counter(piece for text in texts for piece in PIECES.findall(text))
    words = [[letters[byte] for byte in piece.encode()] for piece in counted]
    counts = list(counted.values())
    pairs, where = Counter(), {}
    for i, word in enumerate(words):
        for pair in zip(word, word[1:]):
            pairs[pair] += counts[i]
            where.setdefault(pair, set()).add(i)
    tokens, merges = [END, *sorted(letters.values())], []
    while len(tokens) < size and pairs:
        best = max(
            pairs, key=lambda pair: (pairs[pair], pair)
        )  # the pair itself breaks ties, so that runs agree
        merges.append(best)
        tokens.append("".join(best))
        for i in where.pop(best):
            for pair in zip(words[i], words[i][1:]):
                pairs[pair] -= counts[i]
            words[i] = merged(words[i], best)
            for pair in zip(words[i], words[i][1:]):
                pairs[pair] += counts[i]
                where.setdefault(pair, set()).add(i)
        pairs = +pairs  # drops the pairs that are gone
    return {token: i for i, token in enumerate(tokens)}, merges


def merged(word, pair):
    out = []
    for letter in word:
        if out and (out[-1], letter) == pair:
            out[-1] += letter
        else:
            out.append(letter)
    return out


def tokenizer_json(vocabulary, merges):
    split = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    end = {
        "id": vocabulary[END],
        "content": END,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": vocabulary,
        "merges": [" ".join(pair) for pair in merges],
    }
    return (
        json.dumps(
            {
                "version": "1.0",
                "truncation": None,
                "padding": None,
                "added_tokens": [end],
                "normalizer": None,
                "pre_tokenizer": split,
                "post_processor": None,
                "decoder": split,
                "model": model,
            },
            ensure_ascii=False,
            indent=1,
        )
        + "\n"
    )
