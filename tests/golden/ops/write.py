"""Writes embedding.txt: the gradient of torch.nn.functional.embedding.

A line is a name followed by its values. Run with PyTorch installed: python3 tests/golden/ops/write.py
"""

import pathlib

import torch


def write_embedding(path):
    rows, columns, tokens = 7, 5, 12
    generator = torch.Generator().manual_seed(3)
    table = torch.randn(rows, columns, generator=generator, dtype=torch.float64, requires_grad=True)
    # Few enough rows that some occur often and some never.
    ids = torch.randint(0, rows - 2, (tokens,), generator=generator)
    dy = torch.randn(tokens, columns, generator=generator, dtype=torch.float64)
    y = torch.nn.functional.embedding(ids, table)
    y.backward(dy)
    named = {"table": table, "ids": ids, "dy": dy, "y": y, "dtable": table.grad}
    with open(path, "w", encoding="utf-8") as file:
        for name, values in named.items():
            file.write(" ".join([name] + [repr(v) for v in values.detach().flatten().tolist()]) + "\n")


write_embedding(pathlib.Path(__file__).with_name("embedding.txt"))
