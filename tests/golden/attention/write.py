"""Writes small attention cases: torch.nn.functional.scaled_dot_product_attention in double and its gradients.

Run: python write.py (torch 2). Each file: one line of sizes (queries keys heads kv_heads head_dim window),
then q, k, v, do, o, dq, dk, dv, one array a line, row-major [token][head][channel].
"""
import pathlib
import torch
from torch.nn.functional import scaled_dot_product_attention as sdpa

CASES = {"grouped": (7, 7, 4, 2, 8, 0), "window": (9, 9, 2, 2, 8, 3), "late_queries": (3, 8, 3, 1, 16, 0)}

for seed, (name, (m, n, heads, kv_heads, dim, window)) in enumerate(CASES.items()):
    torch.manual_seed(seed)
    # Values of few digits, so that the file is exact.
    draw = lambda rows, h: (torch.randn(rows, h, dim, dtype=torch.float64) * 64).round() / 64
    q, k, v, do = draw(m, heads), draw(n, kv_heads), draw(n, kv_heads), draw(m, heads)
    for x in (q, k, v):
        x.requires_grad_()
    i, j = torch.arange(m)[:, None] + n - m, torch.arange(n)[None]
    mask = (j <= i) & ((j > i - window) if window else True)
    group = lambda x: x.transpose(0, 1).repeat_interleave(heads // kv_heads, 0)
    o = sdpa(q.transpose(0, 1), group(k), group(v), attn_mask=mask).transpose(0, 1)
    o.backward(do)
    with open(pathlib.Path(__file__).parent / f"{name}.txt", "w") as file:
        print(m, n, heads, kv_heads, dim, window, file=file)
        for x in (q, k, v, do, o, q.grad, k.grad, v.grad):
            print(*(repr(value) for value in x.detach().flatten().tolist()), file=file)
