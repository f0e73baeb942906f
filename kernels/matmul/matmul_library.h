#pragma once

#include <string>

#include "kernels/matmul/matmul.h"

/// The libraries that compute products on the CPU, as the build found them. Each call returns false, and
/// leaves y untouched, where its library is missing or has no kernel for the product.
namespace prospect::kernels::cpu {

/// The whole product through oneDNN: floats on any processor, bf16 on one with instructions for it. Those
/// round once, at the end. alpha must be 1.
template <class T, class Out>
bool onednn_product(const Matmul<T, Out>& args);

/// y = alpha * op(a) op(b) + beta * y through OpenBLAS, float and double; bias and y_mode are not looked at.
/// Throws: Error(Bug) when a size does not fit the library's 32-bit integers.
template <class T>
bool openblas_product(const Matmul<T>& args, T beta);

/// The library's version and the kernels it chose for this processor, in its own words; empty where it is
/// missing.
std::string onednn_words();
std::string openblas_words();

}  // namespace prospect::kernels::cpu
