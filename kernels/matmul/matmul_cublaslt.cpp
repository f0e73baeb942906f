// cuda::matmul by cuBLASLt, which takes matrices in column order: it computes y^T = op(b)^T op(a)^T. What it
// has no algorithm for goes to the kernels of this folder.
#include <cublasLt.h>

#include <algorithm>
#include <compare>
#include <map>
#include <type_traits>

#include "kernels/common/check.h"
#include "kernels/matmul/matmul.h"

namespace prospect::kernels::cuda {

namespace {

constexpr size_t kWorkspaceBytes = size_t{32} << 20;  // what the library's guide asks for on sm_90

void check(cublasStatus_t status, const char* what) {
  CHECK(status == CUBLAS_STATUS_SUCCESS, "matmul: {}: {}", what, cublasLtGetStatusString(status));
}

/// A library's object that goes with its owner.
template <class Handle, cublasStatus_t (*kDestroy)(Handle)>
struct Destroy {
  using pointer = Handle;
  void operator()(Handle handle) const { kDestroy(handle); }
};
template <class Handle, cublasStatus_t (*kDestroy)(Handle)>
using Owned = std::unique_ptr<Handle, Destroy<Handle, kDestroy>>;
using Library = Owned<cublasLtHandle_t, cublasLtDestroy>;
using Operation = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

/// All that the choice of an algorithm may depend on.
struct Shape {
  cudaDataType_t in, out;
  int64_t rows, columns, inner, lda, ldb, ldy;
  bool transpose_a, transpose_b, bias;
  uint32_t a_alignment, b_alignment, y_alignment;
  auto operator<=>(const Shape&) const = default;
};

/// How a shape is multiplied.
struct Plan {
  Operation operation;
  Layout a, b, y;
  cublasLtMatmulAlgo_t algorithm;
  size_t workspace_bytes;
  bool found;
};

template <class T>
constexpr cudaDataType_t kType = std::is_same_v<T, bf16> ? CUDA_R_16BF : CUDA_R_32F;

/// In bytes; the library looks no further than 16.
uint32_t alignment_of(const void* data) {
  const auto address = reinterpret_cast<uintptr_t>(data) | 16;
  return static_cast<uint32_t>(address & -address);
}

template <class T, class Out>
Shape shape_of(const Matmul<T, Out>& args) {
  return {.in = kType<T>,
          .out = kType<Out>,
          .rows = args.rows,
          .columns = args.columns,
          .inner = args.inner,
          .lda = args.lda,
          .ldb = args.ldb,
          .ldy = args.ldy,
          .transpose_a = args.transpose_a,
          .transpose_b = args.transpose_b,
          .bias = args.bias != nullptr,
          .a_alignment = alignment_of(args.a),
          .b_alignment = alignment_of(args.b),
          .y_alignment = alignment_of(args.y)};
}

/// A stored matrix of `rows` rows is to the library one of `rows` columns.
Layout layout(cudaDataType_t type, int64_t rows, int64_t columns, int64_t stride) {
  cublasLtMatrixLayout_t made = nullptr;
  check(cublasLtMatrixLayoutCreate(&made, type, static_cast<uint64_t>(columns), static_cast<uint64_t>(rows),
                                   stride),
        "layout");
  return Layout(made);
}

template <class Value>
void set(const Operation& operation, cublasLtMatmulDescAttributes_t attribute, const Value& value) {
  check(cublasLtMatmulDescSetAttribute(operation.get(), attribute, &value, sizeof(value)), "operation");
}

Operation operation_of(const Shape& shape) {
  cublasLtMatmulDesc_t made = nullptr;
  check(cublasLtMatmulDescCreate(&made, CUBLAS_COMPUTE_32F, CUDA_R_32F), "operation");
  Operation operation(made);
  const auto flag = [](bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; };
  set(operation, CUBLASLT_MATMUL_DESC_TRANSA, flag(shape.transpose_b));
  set(operation, CUBLASLT_MATMUL_DESC_TRANSB, flag(shape.transpose_a));
  if (shape.bias) set(operation, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
  return operation;
}

Preference preference_of(const Shape& shape) {
  cublasLtMatmulPreference_t made = nullptr;
  check(cublasLtMatmulPreferenceCreate(&made), "preference");
  Preference preference(made);
  const auto set_preference = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    check(cublasLtMatmulPreferenceSetAttribute(made, attribute, &value, sizeof(value)), "preference");
  };
  set_preference(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspaceBytes);
  set_preference(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, shape.b_alignment);
  set_preference(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, shape.a_alignment);
  set_preference(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, shape.y_alignment);
  set_preference(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, shape.y_alignment);
  return preference;
}

Plan plan_of(const Shape& shape, cublasLtHandle_t library) {
  Plan plan{.operation = operation_of(shape),
            .a = shape.transpose_a ? layout(shape.in, shape.inner, shape.rows, shape.lda)
                                   : layout(shape.in, shape.rows, shape.inner, shape.lda),
            .b = shape.transpose_b ? layout(shape.in, shape.columns, shape.inner, shape.ldb)
                                   : layout(shape.in, shape.inner, shape.columns, shape.ldb),
            .y = layout(shape.out, shape.rows, shape.columns, shape.ldy),
            .algorithm = {},
            .workspace_bytes = 0,
            .found = false};
  const Preference preference = preference_of(shape);
  cublasLtMatmulHeuristicResult_t best;
  int count = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(library, plan.operation.get(), plan.b.get(), plan.a.get(), plan.y.get(),
                                     plan.y.get(), preference.get(), 1, &best, &count);
  if (status == CUBLAS_STATUS_SUCCESS && count > 0) {
    plan.algorithm = best.algo;
    plan.workspace_bytes = best.workspaceSize;
    plan.found = true;
  }
  return plan;
}

}  // namespace

struct MatmulLibrary::State {
  Library library;
  std::map<Shape, Plan> plans;
};

MatmulLibrary::MatmulLibrary() {
  cublasLtHandle_t library = nullptr;
  check(cublasLtCreate(&library), "cublasLtCreate");
  state_ = std::make_unique<State>();
  state_->library.reset(library);
}
MatmulLibrary::~MatmulLibrary() = default;

template <class T, class Out>
void matmul(const Matmul<T, Out>& args, MatmulLibrary& library, Stream stream) {
  if (args.y_mode == GradMode::Ignore || args.rows == 0 || args.columns == 0) return;
  // An empty sum, and a bias of another type than y, are not among the library's cases.
  if (args.inner == 0 || (args.bias && !std::is_same_v<T, Out>)) return matmul_tiled(args, stream);
  const Shape shape = shape_of(args);
  std::map<Shape, Plan>& plans = library.state().plans;
  auto found = plans.find(shape);
  if (found == plans.end()) {
    found = plans.emplace(shape, plan_of(shape, library.state().library.get())).first;
  }
  const Plan& plan = found->second;
  if (!plan.found) return matmul_tiled(args, stream);
  if (args.bias) set(plan.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, args.bias);
  const float alpha = 1, beta = args.y_mode == GradMode::Accumulate ? 1 : 0;
  check(cublasLtMatmul(library.state().library.get(), plan.operation.get(), &alpha, args.b, plan.b.get(),
                       args.a, plan.a.get(), &beta, args.y, plan.y.get(), args.y, plan.y.get(),
                       &plan.algorithm, args.scratch, plan.workspace_bytes, stream),
        "cublasLtMatmul");
}

int64_t matmul_scratch_bytes() {
  return kWorkspaceBytes;
}

template void matmul(const Matmul<float, float>&, MatmulLibrary&, Stream);
template void matmul(const Matmul<bf16, bf16>&, MatmulLibrary&, Stream);
template void matmul(const Matmul<bf16, float>&, MatmulLibrary&, Stream);

}  // namespace prospect::kernels::cuda
