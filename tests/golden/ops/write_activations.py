"""Writes rmsnorm.txt, rotary.txt, gelu.txt, swiglu.txt, adamw.txt, grad_norm.txt and qk_norm.txt: values and gradients of
PyTorch's and transformers' own modules. A line is a name followed by its values.

Run with torch and transformers installed: python3 tests/golden/ops/write_activations.py
"""

import pathlib

import torch
from torch.nn.functional import gelu, silu
from transformers.models.llama.modeling_llama import LlamaRMSNorm, apply_rotary_pos_emb
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

FOLDER = pathlib.Path(__file__).parent


def write(name, **named):
    with open(FOLDER / name, "w", encoding="utf-8") as file:
        for key, values in named.items():
            file.write(" ".join([key] + [repr(v) for v in values.detach().double().flatten().tolist()]) + "\n")


def random(generator, *shape, scale=1.0):
    """Multiples of 1/64: exact in every dtype but bfloat16."""
    return torch.round(torch.randn(*shape, generator=generator, dtype=torch.float64) * scale * 64) / 64


def write_rmsnorm(generator):
    module = LlamaRMSNorm(16, eps=1e-5)  # computes in float32 whatever it is given
    module.weight.data = random(generator, 16).float()
    x, dy = random(generator, 3, 16).float().requires_grad_(), random(generator, 3, 16).float()
    y = module(x)
    y.backward(dy)
    write("rmsnorm.txt", x=x, weight=module.weight, dy=dy, y=y, dx=x.grad, dweight=module.weight.grad)


def write_rotary(generator):
    tokens, heads, kv_heads, dim = 5, 3, 2, 8
    positions = torch.tensor([0, 1, 2, 7, 1000])
    frequencies = 1.0 / 10000 ** (torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    angles = positions.double()[:, None] * frequencies
    angles = torch.cat((angles, angles), -1)[None]
    qkv = random(generator, tokens, (heads + 2 * kv_heads) * dim).requires_grad_()
    dy = random(generator, tokens, (heads + 2 * kv_heads) * dim)
    q, k, v = qkv.split([heads * dim, kv_heads * dim, kv_heads * dim], -1)
    q, k = (x.view(1, tokens, -1, dim).transpose(1, 2) for x in (q, k))
    q, k = apply_rotary_pos_emb(q, k, angles.cos(), angles.sin())
    y = torch.cat([x.transpose(1, 2).reshape(tokens, -1) for x in (q, k)] + [v], -1)
    y.backward(dy)
    write("rotary.txt", positions=positions, frequencies=frequencies, qkv=qkv, dy=dy, y=y, dx=qkv.grad)


def write_gelu(generator):
    special = torch.tensor([0.0, -0.0, 1e-3, -1e-3, 0.5, -0.75, 2.0, -2.0, 4.0, -4.0, 9.0, -9.0], dtype=torch.float64)
    x = torch.cat([special, random(generator, 12, scale=2.0)]).requires_grad_()
    named = {"x": x}
    for kind, approximate in (("exact", "none"), ("tanh", "tanh")):
        x.grad = None
        y = gelu(x, approximate=approximate)
        y.sum().backward()
        named |= {kind + "_y": y, kind + "_dx": x.grad}
    write("gelu.txt", **named)


def write_swiglu(generator):
    gate_up, dy = random(generator, 3, 14, scale=2.0).requires_grad_(), random(generator, 3, 7)
    y = silu(gate_up[:, :7]) * gate_up[:, 7:]
    y.backward(dy)
    write("swiglu.txt", gate_up=gate_up, dy=dy, y=y, dx=gate_up.grad)


def write_adamw(generator):
    """Five steps in float32 with clipping, which the last, small gradient escapes."""
    named = {}
    parameter = torch.nn.Parameter(random(generator, 11).float())
    named["initial"] = parameter.detach().clone()
    optimizer = torch.optim.AdamW([parameter], lr=0.01, betas=(0.9, 0.95), eps=1e-6, weight_decay=0.1, foreach=False)
    for step in range(1, 6):
        gradient = random(generator, 11, scale=0.05 if step == 5 else 3.0).float()
        parameter.grad = gradient.clone()
        norm = torch.nn.utils.clip_grad_norm_([parameter], 1.0)
        optimizer.step()
        state = optimizer.state[parameter]
        named[f"gradient{step}"] = gradient
        named[f"clip{step}"] = torch.clamp(1.0 / (norm + 1e-6), max=1.0)
        named[f"parameter{step}"] = parameter.detach().clone()
        named[f"first{step}"], named[f"second{step}"] = state["exp_avg"].clone(), state["exp_avg_sq"].clone()
    write("adamw.txt", **named)


def write_grad_norm(generator):
    """Norm and the factor that clip_grad_norm_ multiplied by, in float64."""
    parameter = torch.nn.Parameter(random(generator, 37))
    parameter.grad = random(generator, 37)
    gradient = parameter.grad.clone()
    norm = torch.nn.utils.clip_grad_norm_([parameter], 2.5)
    write("grad_norm.txt", gradient=gradient, norm=norm, max_norm=torch.tensor(2.5), clipped=parameter.grad)


def write_qk_norm(generator):
    tokens, heads, kv_heads, dim = 3, 4, 2, 8
    norms = [Qwen3RMSNorm(dim, eps=1e-6) for _ in range(2)]
    for norm in norms:
        norm.weight.data = random(generator, dim).float()
    qkv = random(generator, tokens, (heads + 2 * kv_heads) * dim).float().requires_grad_()
    dy = random(generator, tokens, (heads + 2 * kv_heads) * dim).float()
    q, k, v = qkv.split([heads * dim, kv_heads * dim, kv_heads * dim], -1)
    q, k = (norm(x.view(tokens, -1, dim)).reshape(tokens, -1) for norm, x in zip(norms, (q, k)))
    y = torch.cat([q, k, v], -1)
    y.backward(dy)
    write("qk_norm.txt", qkv=qkv, query_weight=norms[0].weight, key_weight=norms[1].weight, dy=dy, y=y, dx=qkv.grad,
          dquery_weight=norms[0].weight.grad, dkey_weight=norms[1].weight.grad)


WRITERS = (write_rmsnorm, write_rotary, write_gelu, write_swiglu, write_adamw, write_grad_norm, write_qk_norm)
for seed, writer in enumerate(WRITERS):
    writer(torch.Generator().manual_seed(seed))
