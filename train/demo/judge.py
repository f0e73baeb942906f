"""A judge of texts who has not seen the model's reviews: logistic regression on the words and word pairs of other reviews."""

import math
import re
from collections import Counter


def features(text):
    words = re.findall(r"\w\w+", text.lower())
    return Counter(words + [f"{a} {b}" for a, b in zip(words, words[1:])])


def area_under_curve(scores, verdicts):
    """How often a text with thumb up scores higher than one with thumb down; a tie counts half (Mann-Whitney U)."""
    order = sorted(range(len(scores)), key=scores.__getitem__)
    rank_sum, at = 0.0, 0
    while at < len(order):
        end = at
        while end < len(order) and scores[order[end]] == scores[order[at]]:
            end += 1
        rank_sum += sum(verdicts[i] for i in order[at:end]) * (at + 1 + end) / 2  # ties share their mean rank
        at = end
    ups = sum(verdicts)
    downs = len(verdicts) - ups
    return (rank_sum - ups * (ups + 1) / 2) / (ups * downs) if ups and downs else math.nan


class Judge:
    """Weights w of words and pairs that minimise |w|^2 / (2 strength) + sum_i log(1 + exp(-y_i (w x_i + bias))), where x_i are
    the counts in text i and y_i is +1 or -1. Words and pairs of one text only are left out."""

    def __init__(self, texts, verdicts, strength=0.3, rounds=12):
        columns = {}  # feature -> [(text, count), ...]
        for i, text in enumerate(texts):
            for feature, count in features(text).items():
                columns.setdefault(feature, []).append((i, count))
        columns = {feature: column for feature, column in columns.items() if len(column) > 1}
        self.weights = dict.fromkeys(columns, 0.0)
        self.bias = 0.0
        margins = [0.0] * len(texts)  # w x_i + bias
        everywhere = [(i, 1) for i in range(len(texts))]
        for _ in range(rounds):
            self.bias += newton_step(everywhere, verdicts, margins, 0.0, 0.0)
            for feature, column in columns.items():
                self.weights[feature] += newton_step(
                    column, verdicts, margins, self.weights[feature], 1 / strength
                )

    def score(self, text):
        """Above 0: likelier from a thumb up."""
        return self.bias + sum(
            self.weights.get(feature, 0.0) * count for feature, count in features(text).items()
        )

    def share_positive(self, texts):
        return sum(self.score(text) > 0 for text in texts) / len(texts)


def newton_step(column, verdicts, margins, weight, decay):
    """Moves one weight towards the minimum along its own axis, updates the margins and returns the step."""
    slope, curvature = decay * weight, decay
    for i, count in column:
        up = 1 / (1 + math.exp(-margins[i]))
        slope += count * (up - verdicts[i])
        curvature += count * count * up * (1 - up)
    step = -slope / curvature
    for i, count in column:
        margins[i] += step * count
    return step
