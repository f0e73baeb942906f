#include "kernels/matmul/matmul_library.h"

#ifdef PROSPECT_WITH_ONEDNN
#include <fmt/format.h>

#include <oneapi/dnnl/dnnl.hpp>
#include <type_traits>
#include <unordered_map>
#endif

namespace prospect::kernels::cpu {

#ifdef PROSPECT_WITH_ONEDNN
namespace {

using dnnl::memory;

template <class T>
constexpr memory::data_type kType =
    std::is_same_v<T, float> ? memory::data_type::f32 : memory::data_type::bf16;

memory::desc matrix(memory::data_type type, int64_t rows, int64_t columns, int64_t stride, bool transposed) {
  return {{rows, columns}, type, transposed ? memory::dims{1, stride} : memory::dims{stride, 1}};
}

template <class T>
memory at(const T* data, const memory::desc& desc, const dnnl::engine& engine) {
  return {desc, engine, const_cast<T*>(data)};  // its memory has no read-only form
}

}  // namespace

template <class T>
bool onednn_is_faster() {
  constexpr auto kNeeded = static_cast<unsigned>(std::is_same_v<T, float> ? dnnl::cpu_isa::avx512_core
                                                                          : dnnl::cpu_isa::avx512_core_bf16);
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & kNeeded) == kNeeded;
}

template <class T, class Out>
bool onednn_product(const Matmul<T, Out>& args) {
  if (args.alpha != 1 || args.inner == 0) return false;
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  const memory::desc a = matrix(kType<T>, args.rows, args.inner, args.lda, args.transpose_a);
  const memory::desc b = matrix(kType<T>, args.inner, args.columns, args.ldb, args.transpose_b);
  const memory::desc y = matrix(kType<Out>, args.rows, args.columns, args.ldy, false);
  const memory::desc bias =
      args.bias ? matrix(kType<T>, 1, args.columns, args.columns, false) : memory::desc();
  dnnl::post_ops after;
  if (args.y_mode == GradMode::Accumulate) after.append_sum();
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(after);
  const dnnl::matmul::primitive_desc chosen({a, b, bias, y}, attributes, engine, true);
  if (!chosen) return false;
  std::unordered_map<int, memory> operands{{DNNL_ARG_SRC, at(args.a, a, engine)},
                                           {DNNL_ARG_WEIGHTS, at(args.b, b, engine)},
                                           {DNNL_ARG_DST, at(args.y, y, engine)}};
  if (args.bias) operands.emplace(DNNL_ARG_BIAS, at(args.bias, bias, engine));
  dnnl::stream stream(engine);
  dnnl::matmul(chosen).execute(stream, operands);
  stream.wait();
  return true;
}

std::string onednn_words() {
  const dnnl_version_t* version = dnnl::version();
  return fmt::format("oneDNN {}.{}.{} {}, instructions {:#x}", version->major, version->minor, version->patch,
                     version->hash, static_cast<unsigned>(dnnl::get_effective_cpu_isa()));
}
#else
template <class T>
bool onednn_is_faster() {
  return false;
}

template <class T, class Out>
bool onednn_product(const Matmul<T, Out>&) {
  return false;
}

std::string onednn_words() {
  return "";
}
#endif

template bool onednn_is_faster<float>();
template bool onednn_is_faster<bf16>();
template bool onednn_product(const Matmul<float>&);
template bool onednn_product(const Matmul<bf16>&);
template bool onednn_product(const Matmul<bf16, float>&);

}  // namespace prospect::kernels::cpu
