#pragma once

#include <string>

#include "kernels/matmul/matmul.h"

/// The library that computes products on the CPU, where the build has it.
namespace prospect::kernels::cpu {

/// Whether this processor has instructions for T that oneDNN knows and matmul_blocked() does not: AVX-512 for
/// floats, its products of bf16 for those. False where the library is missing.
template <class T>
bool onednn_is_faster();

/// The whole product through oneDNN, rounded once, at the end. False, and y is untouched, where the library
/// is missing or has no kernel for the product. alpha must be 1.
template <class T, class Out>
bool onednn_product(const Matmul<T, Out>& args);

/// The library's version and the kernels it chose for this processor, in its own words; empty where it is
/// missing.
std::string onednn_words();

}  // namespace prospect::kernels::cpu
