#!/usr/bin/env python3
"""Times PyTorch's scaled_dot_product_attention, by cuDNN and by FlashAttention-2, on the cases that attention_time has timed.

  bench/peers/attention.py RESULTS COMMIT

Reads the cases of COMMIT from RESULTS (bench/results/gpu.jsonl) and adds a line for each case and backend, measured as time_cases.cpp
measures: 256 MB are written before each call, the median counts. Causal, bf16, forward; keys and values repeated for grouped queries
are not timed. Exits 77 without PyTorch or a device.
"""
import datetime
import json
import re
import statistics
import sys


def timed(torch, call, calls=30):
    """Microseconds of single calls on cold caches."""
    flush = torch.empty(256 << 20, dtype=torch.uint8, device="cuda")
    times = []
    for i in range(calls + 3):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        flush.fill_(i)
        begin.record()
        call()
        end.record()
        end.synchronize()
        times.append(1e3 * begin.elapsed_time(end))
    return sorted(times[3:])


def shapes(path, commit):
    """Of the bf16 forward cases: the name and what it says."""
    pattern = re.compile(r"attention_forward bf16 (\d+)x(\d+) heads (\d+)/(\d+) of (\d+)")
    found = {}
    with open(path) as lines:
        for line in map(json.loads, lines):
            match = pattern.fullmatch(line.get("case", ""))
            if match and line["commit"] == commit and "peer_of" not in line:
                found[line["case"]] = tuple(map(int, match.groups()))
    return found


def main(path, commit):
    try:
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel
    except ImportError:
        print("skipped: no PyTorch")
        return 77
    if not torch.cuda.is_available():
        print("skipped: no CUDA device")
        return 77
    for case, (sequences, length, heads, kv_heads, head_dim) in shapes(path, commit).items():
        q, k, v = (torch.randn(sequences, count, length, head_dim, dtype=torch.bfloat16, device="cuda")
                   for count in (heads, kv_heads, kv_heads))
        k, v = (each.repeat_interleave(heads // kv_heads, dim=1) for each in (k, v))
        for backend in (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION):
            with sdpa_kernel(backend):
                times = timed(torch, lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True))
            line = {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"), "commit": commit,
                    "device": torch.cuda.get_device_name(), "versions": f"torch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}",
                    "peer_of": case, "peer": backend.name, "median_us": round(statistics.median(times), 2),
                    "low_us": round(times[len(times) // 20], 2), "high_us": round(times[-1 - len(times) // 20], 2),
                    "calls": len(times), "command": "bench/gpu_check"}
            print(json.dumps(line))
            with open(path, "a") as results:
                results.write(json.dumps(line) + "\n")
    return 0


if len(sys.argv) != 3:
    sys.exit(__doc__)
sys.exit(main(*sys.argv[1:]))
