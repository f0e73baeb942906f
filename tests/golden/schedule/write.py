"""Writes schedules.txt: learning rates of the transformers library's schedules.

Run: python write.py (torch 2, transformers 5). A case is one line "name peak warmup_steps total_steps count", then
`count` learning rates, of the steps from 0 on, past the end of the schedule where it has one.
"""
import pathlib
import warnings

import torch
from transformers import optimization

warnings.filterwarnings("ignore")  # the optimizer never steps here


def rates(name, peak, warmup, total, count):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=peak)
    make = getattr(optimization, f"get_{name}_schedule_with_warmup")
    schedule = make(optimizer, warmup) if name == "constant" else make(optimizer, warmup, total)
    for _ in range(count):
        yield schedule.get_last_lr()[0]
        schedule.step()


with open(pathlib.Path(__file__).parent / "schedules.txt", "w") as file:
    for name in ("linear", "cosine", "constant"):
        for peak, warmup, total in ((5e-7, 0, 7), (1e-4, 3, 12), (0.3, 5, 5), (2e-5, 9, 4)):
            count = total + 4
            print(name, repr(peak), warmup, total, count, file=file)
            print(*(repr(rate) for rate in rates(name, peak, warmup, total, count)), file=file)
