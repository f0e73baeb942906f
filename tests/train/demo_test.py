"""The quickstart's own parts, on small inputs: the reader of R's data, the split into rows, the judge, the vocabulary, the figures."""

import bz2
import contextlib
import gzip
import io
import json
import lzma
import math
import random
import struct
import sys
import tempfile
import unittest
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "train/demo"))

import bpe
import rdata
import recipe
import report
import reviews
from command import Failure, Runner, as_typed
from judge import Judge, area_under_curve, features


class XdrWriter:
    """The few forms of R's serialisation that a data frame needs, written by the rules of serialize.c."""

    HEAD = b"X\n" + struct.pack(">iii", 3, 0x40200, 0x30500) + struct.pack(">i", 5) + b"UTF-8"

    def text(self, text):
        return struct.pack(">ii", 9 | 1 << 12, len(text.encode())) + text.encode()

    def strings(self, texts):
        return struct.pack(">ii", 16, len(texts)) + b"".join(map(self.text, texts))

    def integers(self, values, **attributes):
        return (
            struct.pack(">ii", 13 | bool(attributes) << 9, len(values))
            + struct.pack(f">{len(values)}i", *values)
            + self.pairs(attributes)
        )

    def items(self, values, **attributes):
        return (
            struct.pack(">ii", 19 | bool(attributes) << 9, len(values))
            + b"".join(values)
            + self.pairs(attributes)
        )

    def pairs(self, attributes):
        if not attributes:
            return b""
        pairs = (
            struct.pack(">ii", 2 | 1 << 10, 1) + self.text(name) + value for name, value in attributes.items()
        )
        return b"".join(pairs) + struct.pack(">i", 254)


class ReviewsOfR(unittest.TestCase):
    RAW_LZMA = [{"id": lzma.FILTER_LZMA2, "preset": 6}]
    KINDS = {
        "xz": lambda data: b"Z" + lzma.compress(data, lzma.FORMAT_RAW, filters=ReviewsOfR.RAW_LZMA),
        "bzip2": lambda data: b"2" + bz2.compress(data),
        "gzip": lambda data: b"1" + zlib.compress(data),
        "none": lambda data: b"0" + data,
        "plain gzip": zlib.compress,
    }

    def write_base(self, folder, pack):
        w = XdrWriter()
        frame = w.items(
            [
                w.strings(["good<br />tea", "bad\n tea"]),
                w.integers([1, 2], levels=w.strings(["great", "other"])),
            ],
            names=w.strings(["review", "score"]),
        )
        record = struct.pack(">I", len(w.HEAD + frame)) + pack(w.HEAD + frame)
        variables = w.items([w.integers([3, len(record)])], names=w.strings(["frame"]))
        (folder / "Rdata.rdb").write_bytes(b"???" + record)
        (folder / "Rdata.rdx").write_bytes(
            gzip.compress(w.HEAD + w.items([variables], names=w.strings(["variables"])))
        )

    def test_a_data_frame_is_read_under_every_compression(self):
        for name, pack in self.KINDS.items():
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                self.write_base(Path(folder), pack)
                self.assertEqual(
                    reviews.load(Path(folder), "frame"), [("good tea", True), ("bad tea", False)]
                )

    def test_a_record_cut_short_is_an_error(self):
        w = XdrWriter()
        with self.assertRaisesRegex(ValueError, "cut short"):
            rdata.Reader(w.HEAD + w.strings(["good"])[:-1]).item()

    def test_other_reviews_than_the_pinned_ones_are_refused(self):
        frame = rdata.Vector(
            [rdata.Vector(["tea"]), rdata.Vector([1], {"levels": rdata.Vector(["great"])})],
            {"names": rdata.Vector(["review", "score"])},
        )
        loaded, rdata.load = rdata.load, lambda folder, name: frame
        try:
            with self.assertRaisesRegex(ValueError, "not the reviews"):
                reviews.read(Path("nowhere"))
        finally:
            rdata.load = loaded


class Rows(unittest.TestCase):
    def test_prompt_and_completion_are_the_review_again_up_to_its_46th_word(self):
        text = " ".join(f"w{i}" for i in range(60))
        row = reviews.row(text, True)
        self.assertEqual(row["prompt"], "w0 w1 w2 w3 w4 w5")
        self.assertEqual((row["prompt"] + row["completion"]).split(" "), text.split(" ")[:46])

    def test_reviews_with_less_than_ten_words_to_go_on_with_are_left_out(self):
        self.assertEqual([len(reviews.rows([(" ".join(["w"] * count), True)])) for count in (15, 16)], [0, 1])

    def test_shuffling_keeps_the_number_of_thumbs_up_and_depends_on_the_seed(self):
        rows = [{"prompt": str(i), "label": i < 30} for i in range(100)]
        one, other = (reviews.shuffled(rows, seed) for seed in (1, 2))
        self.assertEqual(sum(row["label"] for row in one), 30)
        self.assertEqual([row["prompt"] for row in one], [row["prompt"] for row in rows])
        self.assertNotEqual([row["label"] for row in one], [row["label"] for row in other])
        self.assertEqual(one, reviews.shuffled(rows, 1))


class Judging(unittest.TestCase):
    def test_the_weights_are_where_the_slope_vanishes(self):
        draw = random.Random(0)
        texts = [" ".join(draw.choice(("tea", "good", "bad", "box")) for _ in range(6)) for _ in range(60)]
        verdicts = [text.count("good") > text.count("bad") for text in texts]
        judge = Judge(texts, verdicts, strength=0.5, rounds=200)
        errors = [1 / (1 + math.exp(-judge.score(text))) - verdict for text, verdict in zip(texts, verdicts)]
        self.assertAlmostEqual(
            sum(errors), 0, places=5
        )  # the bias has no decay; each round takes away a constant share of the rest
        for feature, weight in judge.weights.items():
            slope = sum(error * features(text)[feature] for error, text in zip(errors, texts))
            self.assertAlmostEqual(slope + weight / 0.5, 0, places=5)

    def test_area_under_curve_counts_pairs_and_halves_ties(self):
        self.assertEqual(area_under_curve([3, 1, 2, 0], [True, False, True, False]), 1)
        self.assertEqual(area_under_curve([1, 1, 1], [True, False, True]), 0.5)
        self.assertEqual(area_under_curve([2, 1, 1, 0], [False, True, False, True]), 1 / 8)
        self.assertTrue(math.isnan(area_under_curve([1, 2], [True, True])))


class Vocabulary(unittest.TestCase):
    def test_merges_follow_frequency_and_the_tokens_are_numbered_in_order(self):
        vocabulary, merges = bpe.learn(["low low low lower lower newest"], 260)
        self.assertEqual(len(vocabulary), 260)
        self.assertEqual(vocabulary[bpe.END], 0)
        self.assertEqual(merges[:2], [("o", "w"), ("l", "ow")])
        self.assertEqual([vocabulary["".join(pair)] for pair in merges], [257, 258, 259])

    def test_every_byte_has_a_letter_of_its_own(self):
        letters = bpe.byte_letters()
        self.assertEqual(len(set(letters.values())), 256)
        self.assertEqual((letters[ord("a")], letters[ord(" ")]), ("a", "Ġ"))

    def test_the_tokenizer_of_the_fixture_is_what_its_recipe_writes_in_form(self):
        written = json.loads((recipe.TINY_MODEL / "tokenizer.json").read_text(encoding="utf-8"))
        made = json.loads(
            bpe.tokenizer_json(
                written["model"]["vocab"], [tuple(merge.split(" ")) for merge in written["model"]["merges"]]
            )
        )
        self.assertEqual(made, written)
        self.assertEqual(len(written["model"]["vocab"]), 2048)


class Figures(unittest.TestCase):
    def test_the_table_tells_a_reward_that_orders_all_rows_from_one_that_orders_none(self):
        rows = [
            {"prompt": "p", "completion": " good tea" if i % 2 else " bad tea", "label": bool(i % 2)}
            for i in range(40)
        ]
        scores = [{"reward": 1.0 if row["label"] else -1.0, "completion_tokens": 3} for row in rows]
        figures = report.reward_figures(rows, scores)
        self.assertEqual((figures["auc"], figures["auc_of_length"]), (1, 0.5))
        judge = Judge([row["completion"] for row in rows], [row["label"] for row in rows])
        figures |= report.judged_figures(judge, ["bad tea"] * 10, ["good tea"] * 10, rows)
        self.assertEqual(
            (figures["positive_base"], figures["positive_aligned"], figures["judge_accuracy"]), (0, 1, 1)
        )
        figures |= {"examples_per_second": 1, "train_seconds": 2, "seconds": 3, "peak_gib": 4}
        self.assertIn("0.0% -> 100.0%", report.table(figures))

    def test_the_interval_of_a_mean_has_the_width_that_theory_gives(self):
        values = [i % 2 for i in range(400)]
        low, high = report.interval(lambda picked: sum(values[i] for i in picked) / len(picked), len(values))
        # 2 * 1.96 * 0.5 / sqrt(400) = 0.098; the ends of 400 resamples scatter by a tenth or two of it.
        self.assertAlmostEqual(high - low, 0.098, delta=0.025)


class Commands(unittest.TestCase):
    def test_a_failing_command_ends_the_run_with_its_own_exit_code(self):
        run = Runner()
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            run("true")
            with self.assertRaises(Failure) as failure:
                run("sh", "-c", "exit 66")
        self.assertEqual(failure.exception.code, 66)
        self.assertIn("$ sh -c 'exit 66'", shown.getvalue())
        self.assertGreater(run.peak_bytes, 2**16)

    def test_paths_below_the_working_folder_are_shown_short(self):
        self.assertEqual(as_typed([Path.cwd() / "a b", "--seed", 1]), "'a b' --seed 1")


if __name__ == "__main__":
    unittest.main()
