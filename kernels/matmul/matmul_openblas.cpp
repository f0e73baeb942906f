#include "kernels/matmul/matmul_library.h"

#ifdef PROSPECT_WITH_OPENBLAS
#include <cblas.h>

#include <algorithm>
#include <limits>
#include <type_traits>

#include "kernels/common/check.h"
#endif

namespace prospect::kernels::cpu {

#ifdef PROSPECT_WITH_OPENBLAS
template <class T>
bool openblas_product(const Matmul<T>& args, T beta) {
  for (const int64_t size : {args.rows, args.columns, args.inner, args.lda, args.ldb, args.ldy}) {
    CHECK(size <= std::numeric_limits<blasint>::max(), "matmul: size {} is beyond the library's integers",
          size);
  }
  const auto integer = [](int64_t value) { return static_cast<blasint>(value); };
  // The library wants strides of at least 1 even where nothing is stored.
  const auto stride = [&](int64_t value) { return integer(std::max<int64_t>(1, value)); };
  const auto flag = [](bool transpose) { return transpose ? CblasTrans : CblasNoTrans; };
  const auto gemm = [] {
    if constexpr (std::is_same_v<T, float>) {
      return cblas_sgemm;
    } else {
      return cblas_dgemm;
    }
  }();
  gemm(CblasRowMajor, flag(args.transpose_a), flag(args.transpose_b), integer(args.rows),
       integer(args.columns), integer(args.inner), static_cast<T>(args.alpha), args.a, stride(args.lda),
       args.b, stride(args.ldb), beta, args.y, stride(args.ldy));
  return true;
}

std::string openblas_words() {
  return openblas_get_config();
}
#else
template <class T>
bool openblas_product(const Matmul<T>&, T) {
  return false;
}

std::string openblas_words() {
  return "";
}
#endif

template bool openblas_product(const Matmul<float>&, float);
template bool openblas_product(const Matmul<double>&, double);

}  // namespace prospect::kernels::cpu
