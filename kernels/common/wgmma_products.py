#!/usr/bin/env python3
"""Writes wgmma_products.cuh: one function for each width of a product on a warpgroup's tensor cores.

usage: kernels/common/wgmma_products.py > kernels/common/wgmma_products.cuh
"""

WIDTHS = [8, 64, 128, 256]
COLUMNS = 106

HEAD = '''// Written by wgmma_products.py.
// clang-format off
#pragma once

#include <cstdint>

namespace prospect::kernels::cuda::ptx {

// d = a b, or d += a b: a is 64 x 16, b 16 x N, N twice the number of accumulators of a thread. Thread l of warp q of
// the warpgroup holds of d, in element 4j + 2h + e, row 16q + 8h + l / 4 and column 8j + 2 (l % 4) + e; of a in
// registers, in a[r], row 16q + l / 4 + 8 (r % 2), columns 2 (l % 4) + 8 (r / 2) and the next. kATransposed: a lies
// with its columns as rows; kBTransposed: b does not lie with its columns as rows. Source: PTX ISA, "Register
// Fragments and Shared Memory Matrix Layouts".
'''


def lines(items, indent):
    """Items separated by commas, in lines."""
    text, line = [], indent
    for i, item in enumerate(items):
        piece = item + (', ' if i + 1 < len(items) else '')
        if len(line) + len(piece) > COLUMNS:
            text.append(line.rstrip())
            line = indent
        line += piece
    return '\n'.join(text + [line])


def quoted(text):
    return '\n'.join(f'      "{part.strip()} "' for part in text.split('\n'))


def function(width, in_registers):
    count = width // 2
    registers = quoted(lines([f'%{i}' for i in range(count)], '' * 6))
    outputs = lines([f'"+f"(d[{i}])' for i in range(count)], ' ' * 8)
    if in_registers:
        template = 'template <bool kBTransposed>'
        a = 'const uint32_t (&a)[4]'
        form = '{%d, %d, %d, %d}' % tuple(range(count, count + 4))
        form = form.replace('{', '{%').replace(', ', ', %') + f', %{count + 4}, p, 1, 1, %{count + 6};'
        inputs = '"r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate), "n"(kBTransposed)'
        predicate = count + 5
    else:
        template = 'template <bool kATransposed, bool kBTransposed>'
        a = 'uint64_t a'
        form = f'%{count}, %{count + 1}, p, 1, 1, %{count + 3}, %{count + 4};'
        inputs = '"l"(a), "l"(b), "r"(accumulate), "n"(kATransposed), "n"(kBTransposed)'
        predicate = count + 2
    return f'''
{template}
__device__ inline void multiply(float (&d)[{count}], {a}, uint64_t b, int accumulate) {{
  asm volatile(
      "{{\\n.reg .pred p;\\nsetp.ne.b32 p, %{predicate}, 0;\\n"
      "wgmma.mma_async.sync.aligned.m64n{width}k16.f32.bf16.bf16 {{"
{registers}
      "}}, {form}\\n}}"
      :
{outputs}
      : {inputs});
}}
'''


def main():
    print(HEAD + ''.join(function(w, r) for w in WIDTHS for r in (False, True)), end='')
    print('\n}  // namespace prospect::kernels::cuda::ptx')


main()
