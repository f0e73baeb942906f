"""From thumbs to an aligned model: fetches reviews with verdicts, aligns a model with `prospect train`, shows what changed."""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

import fetch
import recipe
import report
import reviews
from command import BAD_DATA, IO_FAILURE, MISSING_INPUT, Failure, Runner
from judge import Judge

ROOT = Path(__file__).resolve().parents[2]
RUN_FILES = (
    "rows.jsonl",
    "held-out.jsonl",
    "prompts.jsonl",
    "scores.jsonl",
    "before.jsonl",
    "after.jsonl",
    "quickstart.json",
    "run",
)


def arguments():
    cache = Path.home() / ".cache/prospect"
    parser = argparse.ArgumentParser(
        prog="train/quickstart", description=__doc__, epilog="Exit codes: see README.md."
    )
    parser.add_argument(
        "--out",
        type=Path,
        default="quickstart-run",
        metavar="DIR",
        help="where all files of the run go (quickstart-run)",
    )
    parser.add_argument(
        "--tiny",
        action="store_true",
        help="align a model of our own of 1M parameters instead of SmolLM2-135M-Instruct",
    )
    verdicts = parser.add_mutually_exclusive_group()
    verdicts.add_argument(
        "--flip", action="store_true", help="turn the verdicts round: the model becomes a critic"
    )
    verdicts.add_argument(
        "--control", action="store_true", help="shuffle the verdicts, by --seed: there is nothing to learn"
    )
    parser.add_argument(
        "--rows", type=positive, metavar="N", help="train on N reviews (384; 1975 with --tiny)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the order of rows and of --control's shuffle (0)"
    )
    parser.add_argument(
        "--cache", type=Path, default=cache, metavar="DIR", help=f"where downloads are kept ({cache})"
    )
    parser.add_argument(
        "--prospect",
        type=Path,
        metavar="FILE",
        help="the program (build/cpu-release/prospect, built when missing)",
    )
    return parser.parse_args()


def positive(text):
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def main():
    args = arguments()
    out, plan = args.out.resolve(), recipe.TINY if args.tiny else recipe.SMOLLM2
    prospect = found(args.prospect.resolve()) if args.prospect else built()
    model = recipe.TINY_MODEL if args.tiny else fetch.smollm2(args.cache)
    training, test, judge = data(args, plan)
    held_out, prompts = test[: plan.held_out_rows], test[: plan.prompts]

    clear(out)
    reviews.write(out / "rows.jsonl", training)
    reviews.write(out / "held-out.jsonl", held_out)
    reviews.write(out / "prompts.jsonl", [{"prompt": row["prompt"]} for row in prompts])
    run = Runner()
    train_seconds = align(run, prospect, model, out, plan, args)

    before, after = (
        [line["completion"] for line in lines(out / name)] for name in ("before.jsonl", "after.jsonl")
    )
    figures = {
        **report.reward_figures(held_out, lines(out / "scores.jsonl")),
        **report.judged_figures(judge, before, after, test),
        "seconds": run.seconds,
        "train_seconds": train_seconds,
        "peak_gib": run.peak_bytes / 2**30,
        "examples_per_second": len(training) * plan.options["num-train-epochs"] / train_seconds,
        "model": "tiny-reviews" if args.tiny else "SmolLM2-135M-Instruct",
        "rows": len(training),
        "seed": args.seed,
        "verdicts": "flipped" if args.flip else "shuffled" if args.control else "as given",
    }
    samples = [
        {"prompt": row["prompt"], "base": a, "aligned": b} for row, a, b in zip(prompts[:4], before, after)
    ]
    report.write(out / "quickstart.json", {**figures, "samples": samples})
    print(
        f"\n{figures['model']}, {figures['rows']} reviews, verdicts {figures['verdicts']}:\n\n{report.table(figures)}\n"
    )
    print("\n".join(report.sample(**pair) for pair in samples))
    print(f"\nThe aligned model: {os.path.relpath(out / 'run/model')} (a Hugging Face folder)")
    print(f"All figures:       {os.path.relpath(out / 'quickstart.json')}")


def align(run, prospect, model, out, plan, args):
    """Samples, trains, scores and samples again; returns the seconds of training."""
    sampling = [
        "--data",
        out / "prompts.jsonl",
        "--max-new-tokens",
        plan.new_tokens,
        "--temperature",
        0.8,
        "--seed",
        1,
    ]
    training = ["--data", out / "rows.jsonl", *plan.train_options(args.flip), "--seed", args.seed]
    aligned = out / "run/model"
    print("\n# How the model goes on when it is given the first words of reviews.")
    run(prospect, "generate", "--model", model, *sampling, "--out", out / "before.jsonl")
    print("\n# It learns from people's verdicts.")
    train_seconds = run(prospect, "train", "--model", model, *training, "--out", out / "run")
    print("\n# How much likelier each review has become that it has not seen: that is its reward.")
    scoring = ["--reference", model, "--data", out / "held-out.jsonl", "--out", out / "scores.jsonl"]
    run(prospect, "score", "--model", aligned, *scoring)
    print("\n# The same words and the same seed again.")
    run(prospect, "generate", "--model", aligned, *sampling, "--out", out / "after.jsonl")
    return train_seconds


def found(prospect):
    if not prospect.is_file():
        raise Failure(MISSING_INPUT, f"--prospect {prospect}: there is no such file")
    return prospect


def built():
    """The optimised program for the CPU; compiles it where that has not been done."""
    prospect = ROOT / "build/cpu-release/prospect"
    if not prospect.exists():
        run = Runner()
        run("cmake", "-S", ROOT, "--preset", "cpu-release")
        run("cmake", "--build", prospect.parent, "--target", "prospect", "-j", os.cpu_count())
    return prospect


def data(args, plan):
    """(rows to train on, held-out rows, a judge fitted on reviews that are in neither)."""
    folder = fetch.reviews(args.cache)
    try:
        parts = {name: reviews.rows(part) for name, part in reviews.read(folder).items()}
    except ValueError as error:
        raise Failure(BAD_DATA, f"{folder}: {error}") from error
    training = parts["model"][: args.rows or plan.train_rows]
    if args.flip:
        training = reviews.flipped(training)
    if args.control:
        training = reviews.shuffled(training, args.seed)
    return (
        training,
        parts["test"],
        Judge([row["completion"] for row in parts["judge"]], [row["label"] for row in parts["judge"]]),
    )


def clear(out):
    """Makes the folder, without what an earlier run left there."""
    out.mkdir(parents=True, exist_ok=True)
    for path in (out / name for name in RUN_FILES):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"quickstart: {failure}", file=sys.stderr)
        sys.exit(failure.code)
    except OSError as error:
        print(f"quickstart: {error}", file=sys.stderr)
        sys.exit(IO_FAILURE)
    except KeyboardInterrupt:
        sys.exit(130)
