#!/usr/bin/env python3
"""Write what the PyPI package `tokenizers` makes of awkward strings, for every pipeline.

    python3 generate.py        (needs tokenizers, whose version is written into the results, and gguf)

The pipelines are the tokenizers of ../parity and variants of them, written here as variant-<name>.json.
    strings.jsonl  {"tokenizer", "text", "special", "ids", "decoded", "plain"}: ids with or without special tokens, the
                   text they decode to (absent: as text), and that without special tokens (absent: as decoded)
    sweep.json     ranges of scalars (assigned in Unicode 14; ideographs, Hangul and private use thinned out), contexts,
                   and for each pipeline and context FNV-1a hashes of the ids of blocks of scalars, each in its context
    smollm.gguf    the tokenizer of ../parity/smollm as llama.cpp's converter stores it; no tensors
"""
import json
import random
import unicodedata
from pathlib import Path

import tokenizers
from tokenizers import Tokenizer

HERE = Path(__file__).parent
PARITY = HERE.parent / "parity"
FAMILIES = ["gpt2", "smollm", "llama3", "qwen2"]
CONTEXTS = ["a{}b", " {}", "1{}", "'{}"]
BLOCK = 4096

STRINGS = [
    "", " ", "  ", "\n", "\r\n", "\t", "a", "Hello world", " Hello  world ", "the cat sat on the mat.", "Hello\r\nworld\r\n\r\n x",
    "don't DON'T I'll I'LL we'Re it'S 's'd'm''ve ’s", "'\u017f it'\u017ft \u017f", "100 1234567 3.14 1,000 ½ Ⅷ ٣٤٥ 一二三 ¹²³", "a1b2c3 4d",
    "tab\tand\u00a0nbsp\u1680ogham\u2003em\u202fnarrow\u3000wide\u2028line\u2029para\u0085nel", "\u180e\u200b\ufeff\u001c\u001f zero widths",
    "a \u00a0 b", "x   \u3000\u3000 y", "trailing   ", "   leading", " \n  \n\n   z", "a\n\n\nb", "a \n b", "\n \n", "  \t  \r\n\t x",
    "👨‍👩‍👧‍👦 🏳️‍🌈 👍🏽 😀😒", "e\u0301 o\u0308 n\u0303 \u0301x", "q\u0307\u0323 q\u0323\u0307 \u1e9b\u0323", "\u212b \u2126 \ufb01 가 \u1100\u1161\u11a8",
    "שָׁלוֹם العَرَبِيَّة हिन्दी ไทย 日本語テキスト 한국어", "Ünïcödé Straße ĲĲ ǅ ʰ ª", "<|begin|>", "<|end|>", "hi<|end|>there", "  <|end|>  <|begin|> x",
    "<|end|><|end|>", "<|end", "<|endless|>", "a<|begin|>b<|end|>c<|begin|", "https://example.com/a?b=c&d=%20#e", "if (x[i] != 0) { return -1; } // ok",
    "\x00\x01\x7f", "a\x00b", "_under_score__", "...!!!???", "a.b,c;d:e", "—–…“”", "\U0001d54f\U00010348\U0010ffff", "\ue000\ufffd\uffff",
    "a" * 99, " " * 300, "ab " * 20, "\n" * 60, "the" * 60, "coffee" * 20 + "s", "9" * 50, "é" * 60, "!" * 77, "\u0301" * 30, "😀" * 20, "the coffee " * 9,
]
# For the tokens that the variant `added` has.
ADDED_STRINGS = [
    "cat", "cats", "a cat", "cat.", "_cat", "cat cat  cat", "éclair cat é", "cat\u0301", "x <mask>  y", "<mask><mask>", "x\u3000<mask>\u00a0y", " <mask> <left> <right> ",
    "a <left> b", "a  <left>  b", "a <right> b", "a  <right>  <right>  b", "<right>   <left>", "   <left>   <left>", "cafe\u0301 café", "Cafe\u0301", "e\u0301cole école",
    "<tool>", "<tool_call>", "<tool_cal", "<tool_call><tool>", "hi<tool>hi", "cat<tool>cat", " spaced out ", "a spaced b", "is a b", "<sp>x<sp>", "Ⓐcat", "cat\u200d", "cat1 1cat cat-",
]


def load(name):
    return json.loads((PARITY / name / "tokenizer.json").read_text())


def token(content, special=False, **flags):
    base = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=special)
    return dict(content=content, **(base | flags))


def with_tokens(data, tokens):
    vocab = data["model"]["vocab"]
    new = [t["content"] for t in tokens if t["content"] not in vocab]
    data["added_tokens"] += [dict(id=vocab[t["content"]] if t["content"] in vocab else len(vocab) + new.index(t["content"]), **t) for t in tokens]
    return data


def variants():
    added = [token("cat", single_word=True), token("<mask>", special=True, lstrip=True, rstrip=True), token("<left>", lstrip=True), token("<right>", rstrip=True),
             token("caf\u00e9", normalized=True), token("e\u0301cole", normalized=True), token("<tool>"), token("<tool_call>", special=True), token(" spaced ", normalized=True),
             token("<sp>", lstrip=True, rstrip=True, single_word=True), token("\u00e9")]
    yield "added", with_tokens(load("qwen2"), added)
    yield "added-raw", with_tokens(load("gpt2"), added)
    data = load("gpt2")
    data["pre_tokenizer"]["add_prefix_space"] = True
    yield "prefix-space", data
    data = load("smollm")
    data["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": False}, {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True}]}
    data["model"]["merges"] = [" ".join(merge) for merge in data["model"]["merges"]]
    yield "digit-runs", data
    data = load("llama3")
    data["model"]["ignore_merges"] = True
    data["model"]["merges"] = data["model"]["merges"][:60]  # most whole words are now out of the merges' reach
    data["post_processor"] = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|begin|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<|end|>", "type_id": 0}}],
                              "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                              "special_tokens": {name: {"id": name, "ids": [i], "tokens": [name]} for i, name in enumerate(["<|begin|>", "<|end|>"])}}
    yield "ignore-merges", data
    data = load("gpt2")
    split = lambda pattern, behavior, invert: {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}
    data["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split({"Regex": r"\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+"}, "Removed", True), split({"String": "the"}, "Isolated", False),
                                                                   split({"String": "."}, "Removed", False), split({"Regex": "x*"}, "Isolated", False),
                                                                   {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}
    yield "splits", data
    data = load("gpt2")
    data["model"]["vocab"].pop("Ā")  # byte 0
    data["model"]["vocab"].pop("ð")  # byte F0
    data["model"]["merges"] = [merge for merge in data["model"]["merges"] if "ð" not in merge[0]]
    ids = sorted(data["model"]["vocab"].items(), key=lambda item: item[1])
    data["model"]["vocab"] = {text: i for i, (text, _) in enumerate(ids)}
    data["model"]["unk_token"] = "<|end|>"
    data["model"]["fuse_unk"] = True
    yield "unknown-bytes", data


def fnv(ids):
    value = 0xCBF29CE484222325
    for i in ids:
        for byte in i.to_bytes(4, "little"):
            value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def swept():
    for c in range(0x110000):
        category = unicodedata.category(chr(c))
        bulk = 0x3400 <= c < 0xA000 or 0xAC00 <= c < 0xD7A4 or 0x17000 <= c < 0x19000 or 0x1B170 <= c < 0x1B300 or c >= 0x20000
        if category not in ("Cn", "Cs", "Co") and not (bulk and c % 64):
            yield c


def ranges(scalars):
    out = []
    for c in scalars:
        if out and out[-1][1] == c:
            out[-1][1] = c + 1
        else:
            out.append([c, c + 1])
    return out


def random_strings(rng, count):
    pieces = [" ", "  ", "\n", "\r\n", "\t", "'s", "'LL", "'\u017f", "the", " coffee", "é", "e\u0301", "1", "23", "½", "😀", "<|end|>", "<|begin|>", "<mask>", "cat", "\u3000", "\u00a0",
              "\u200b", "-", "...", "_", "日本", "한", "x", "A", "\u0323", "\u0307", " <", "|>"]
    return ["".join(rng.choice(pieces) for _ in range(rng.randint(2, 24))) for _ in range(count)]


def write_gguf(path):
    import gguf
    data = load("smollm")
    tokens = [text for text, _ in sorted(data["model"]["vocab"].items(), key=lambda item: item[1])]
    special = {t["id"] for t in data["added_tokens"]}
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if i in special else 1 for i in range(len(tokens))])
    writer.add_token_merges([" ".join(merge) for merge in data["model"]["merges"]])
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(1)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{{ messages }}")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def main():
    write_gguf(HERE / "smollm.gguf")
    texts = {name: (PARITY / name / "tokenizer.json").read_text() for name in FAMILIES}
    for name, data in variants():
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        (HERE / f"variant-{name}.json").write_text(text)
        texts[f"variant-{name}"] = text
    rng = random.Random(3)
    mixed = random_strings(rng, 60)
    scalars = list(swept())
    sweep = {"tokenizers": tokenizers.__version__, "ranges": ranges(scalars), "contexts": CONTEXTS, "block": BLOCK, "hashes": {}}
    with open(HERE / "strings.jsonl", "w") as out:
        for name, text in texts.items():
            tok = Tokenizer.from_str(text)
            strings = STRINGS + mixed + (ADDED_STRINGS if "added" in name else [])
            for i, string in enumerate(strings):
                special = i % 2 == 0 or name == "variant-ignore-merges"
                ids = tok.encode(string, add_special_tokens=special).ids
                row = dict(tokenizer=name, text=string, special=special, ids=ids)
                decoded, plain = tok.decode(ids, skip_special_tokens=False), tok.decode(ids, skip_special_tokens=True)
                if decoded != string:
                    row["decoded"] = decoded
                if plain != decoded:
                    row["plain"] = plain
                out.write(json.dumps(row, ensure_ascii=True, separators=(",", ":")) + "\n")
    for name in FAMILIES:
        tok = Tokenizer.from_str(texts[name])
        sweep["hashes"][name] = []
        for context in CONTEXTS:
            hashes = []
            for begin in range(0, 0x110000, BLOCK):
                block = [c for c in scalars if begin <= c < begin + BLOCK]
                if block:
                    hashes.append("%016x" % fnv([i for e in tok.encode_batch([context.format(chr(c)) for c in block], add_special_tokens=False) for i in e.ids]))
            sweep["hashes"][name].append(hashes)
    (HERE / "sweep.json").write_text(json.dumps(sweep, separators=(",", ":")))


if __name__ == "__main__":
    main()
