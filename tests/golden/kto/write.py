#!/usr/bin/env python3
"""Writes golden.txt beside this file: the objectives, and the gradients of the batch loss, from their formulas
in mpmath. Derivatives are numerical, so that no formula of a slope is shared with the program. A thousand
digits leave more than fifty even where sigma(x) differs from 1 by exp(-1000).

One case:  objective beta desirable_weight undesirable_weight z0 count loss
then `count` lines:  policy reference label value slope gradient
loss = mean of values; slope = d(value)/d(policy) at fixed z0; gradient = d(loss)/d(policy), for kto-edifice
also through z0 = mean of (policy - reference); for kto z0 is a constant, for kto-zero and apo-zero-unpaired it must
not matter. Inputs are exact doubles."""

import itertools
import pathlib

from mpmath import diff, exp, mp, mpf, nstr

mp.dps = 1000


def sigma(x):
    return 1 / (1 + exp(-x))


def value(kind, beta, weights, r, label, z0):
    weight = weights[0] if label else weights[1]
    if kind == "apo-zero-unpaired":
        return weight * (1 - sigma(beta * r) if label else sigma(beta * r))
    if kind == "kto-zero":
        return value("kto", beta, weights, r, label, 0)
    x = beta * (r - z0) if label else beta * (z0 - r)
    return -weight * sigma(x) if kind == "kto-edifice" else weight * (1 - sigma(x))


def batch_loss(kind, beta, weights, ratios, labels, z0):
    if kind == "kto-edifice":
        z0 = sum(ratios) / len(ratios)
    return sum(value(kind, beta, weights, r, y, z0) for r, y in zip(ratios, labels)) / len(ratios)


def gradient(arguments, ratios, labels, z0, index):
    def moved(r):
        return batch_loss(*arguments, ratios[:index] + [r] + ratios[index + 1:], labels, z0)

    return diff(moved, ratios[index])


def digits(number):
    if abs(number) < mpf("1e-300"):
        return "0.0"  # a double may not hold it
    return nstr(number, 17, min_fixed=-4, max_fixed=6)


def case(kind, beta, weights, policy, reference, labels, z0=0.0):
    arguments = (kind, mpf(beta), tuple(map(mpf, weights)))
    ratios = [mpf(p) - mpf(q) for p, q in zip(policy, reference)]
    z0 = sum(ratios) / len(ratios) if kind == "kto-edifice" else mpf(z0)
    loss = batch_loss(*arguments, ratios, labels, z0)
    head = f"{kind} {beta} {weights[0]} {weights[1]} {digits(z0)} {len(labels)} {digits(loss)}"
    lines, gradients = [head], []
    for i, (p, q, label) in enumerate(zip(policy, reference, labels)):
        term = value(*arguments, ratios[i], label, z0)
        slope = diff(lambda r: value(*arguments, r, label, z0), ratios[i])
        gradients.append(gradient(arguments, ratios, labels, z0, i))
        lines.append(f"{p} {q} {label} {digits(term)} {digits(slope)} {digits(gradients[-1])}")
    return lines, loss, gradients


def main():
    policy, reference, labels = [-1.0, -2.0, -1.5, -0.5], [-1.2, -1.8, -1.6, -0.8], [1, 0, 1, 0]
    # Values computed elsewhere, at 16 digits for the loss and 6 for gradients.
    published = [
        ("kto-edifice", 0.1, (1.0, 1.0), -0.5012498958443738, None),
        ("kto-edifice", 1.0, (1.0, 1.0), -0.5123969267445303, [-0.061881, 0.061577, -0.062037, 0.062342]),
        ("kto", 0.1, (1.0, 1.0), 0.4987501041556261, None),
        ("kto", 1.0, (1.0, 1.0), 0.4876030732554697, [-0.062344, 0.061115, -0.0625, 0.061879]),
        ("kto", 0.1, (1.33, 1.0), 0.5810438558743589, None),
    ]
    lines = []
    for kind, beta, weights, loss, gradients in published:
        written, found, slopes = case(kind, beta, weights, policy, reference, labels, 0.1)
        assert abs(found - loss) < 1e-15, (kind, beta, found)
        for a, b in zip(slopes, gradients or []):
            assert abs(a - b) < 1e-6, (kind, beta, slopes)
        lines += written
    for kind in ("kto", "kto-edifice"):
        for split in itertools.product((0, 1), repeat=4):
            lines += case(kind, 0.5, (1.33, 0.75), policy, reference, split, 0.25)[0]
        for label in (0, 1):
            lines += case(kind, 0.1, (1.0, 1.5), policy[:1], reference[:1], (label,), 0.5)[0]
        for beta in (0.01, 0.1, 1.0):
            lines += case(kind, beta, (1.5, 0.5), [-1e4, -1e4, 0.0, 0.0], [0.0, 0.0, -1e4, -1e4],
                          (0, 1, 0, 1), 3.0)[0]
    for kind in ("kto-zero", "apo-zero-unpaired"):
        for beta, loss in ((0.1, 0.4987499479259364), (1.0, 0.4874488336769408)):
            written, found, _ = case(kind, beta, (1.0, 1.0), policy, reference, labels, 0.1)
            assert abs(found - loss) < 1e-15, (kind, beta, found)
            lines += written
        for split in itertools.product((0, 1), repeat=4):
            lines += case(kind, 0.5, (1.33, 0.75), policy, reference, split, 0.25)[0]
        for beta in (0.01, 0.1, 1.0):
            lines += case(kind, beta, (1.5, 0.5), [-1e4, -1e4, 0.0, 0.0], [0.0, 0.0, -1e4, -1e4],
                          (0, 1, 0, 1), 3.0)[0]
    pathlib.Path(__file__).with_name("golden.txt").write_text("\n".join(lines) + "\n")


main()
