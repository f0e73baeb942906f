"""What the run did to the model: figures, a table for people, a file for programs."""

import json
import os
import random
import textwrap

from judge import area_under_curve


def interval(statistic, count, resamples=400):
    """Where 95 % of the statistic's values lie when it sees `count` rows drawn with replacement (percentile bootstrap)."""
    draw = random.Random(0)
    values = sorted(statistic([draw.randrange(count) for _ in range(count)]) for _ in range(resamples))
    return [values[round(0.025 * resamples)], values[round(0.975 * resamples) - 1]]


def reward_figures(rows, scores):
    """How well the reward, beta log(policy / reference) of a held-out text, tells thumbs up from thumbs down."""
    rewards, labels = [score["reward"] for score in scores], [row["label"] for row in rows]
    lengths = [score["completion_tokens"] for score in scores]

    def auc(picked):
        return area_under_curve([rewards[i] for i in picked], [labels[i] for i in picked])

    return {
        "auc": auc(range(len(rows))),
        "auc_interval": interval(auc, len(rows)),
        "auc_of_length": area_under_curve(lengths, labels),
        "held_out_rows": len(rows),
        "mean_reward": sum(rewards) / len(rewards),
    }


def judged_figures(judge, base, aligned, human):
    """Shares of continuations that the judge calls positive, and the judge's own score on texts of people."""
    texts, labels = [row["completion"] for row in human], [row["label"] for row in human]
    scores = [judge.score(text) for text in texts]
    gains = [(judge.score(b) > 0) - (judge.score(a) > 0) for a, b in zip(base, aligned)]
    return {
        "positive_base": judge.share_positive(base),
        "positive_aligned": judge.share_positive(aligned),
        "gain_interval": interval(lambda picked: sum(gains[i] for i in picked) / len(picked), len(gains)),
        "positive_human": judge.share_positive(texts),
        "judge_auc": area_under_curve(scores, labels),
        "judge_accuracy": sum((score > 0) == label for score, label in zip(scores, labels)) / len(labels),
        "prompts": len(base),
    }


def table(figures):
    low, high = figures["auc_interval"]
    gain_low, gain_high = figures["gain_interval"]
    lines = (
        (
            "reward AUC",
            f"{figures['auc']:.3f}",
            f"on {figures['held_out_rows']} held-out reviews; 0.5 is chance; 95 % {low:.2f} to {high:.2f}; length alone {figures['auc_of_length']:.2f}",
        ),
        (
            "called positive",
            f"{figures['positive_base']:.1%} -> {figures['positive_aligned']:.1%}",
            f"of {figures['prompts']} continuations, base -> aligned; change 95 % {gain_low:+.1%} to {gain_high:+.1%}; people's own {figures['positive_human']:.1%}",
        ),
        (
            "the judge",
            f"{figures['judge_accuracy']:.1%}",
            f"right on people's reviews (AUC {figures['judge_auc']:.2f}); words and word pairs, fitted on other reviews",
        ),
        (
            "speed",
            f"{figures['examples_per_second']:.1f}/s",
            f"examples trained on; {figures['train_seconds']:.0f} s of training",
        ),
        ("time", f"{figures['seconds']:.0f} s", "training, scoring and sampling"),
        ("peak memory", f"{figures['peak_gib']:.2f} GiB", ""),
    )
    return "\n".join(f"  {name:16}{value:>18}   {note}".rstrip() for name, value, note in lines)


def sample(prompt, base, aligned, width=110):
    lines = [f"  {prompt} ..."]
    for name, text in (("base", base), ("aligned", aligned)):
        lines += textwrap.wrap(
            " ".join(text.split()), width, initial_indent=f"    {name:9}", subsequent_indent=" " * 13
        ) or [f"    {name:9}(nothing)"]
    return "\n".join(lines)


def write(path, figures):
    """Never leaves half a file."""
    unfinished = path.with_suffix(".unfinished")
    with open(unfinished, "w", encoding="utf-8") as file:
        file.write(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)
