#include "kernels/adamw/adamw.h"

#include <type_traits>

#include "kernels/adamw/adamw_step.h"
#include "kernels/common/check.h"
#include "kernels/common/parallel.h"

namespace prospect::kernels::cpu {

namespace {

template <class T>
void update(const AdamW<T>& args, const AdamWScalars<compute_t<T>>& by, int64_t begin, int64_t count) {
  using C = compute_t<T>;
  constexpr bool kRounds = !std::is_same_v<T, C>;
  T* parameter = args.parameter + begin;
  C* master = kRounds ? args.master + begin : nullptr;
  C* first_moment = args.first_moment + begin;
  C* second_moment = args.second_moment + begin;
  const T* gradient = args.gradient + begin;
  const C clip = static_cast<C>(args.clip_factor ? *args.clip_factor : 1);
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const C g = load(gradient[i]) * clip;
    if constexpr (kRounds) {
      adamw_element(master[i], first_moment[i], second_moment[i], g, by);
      store(parameter[i], master[i]);
    } else {
      adamw_element(parameter[i], first_moment[i], second_moment[i], g, by);
    }
  }
}

}  // namespace

template <class T>
void adamw(const AdamW<T>& args) {
  constexpr bool kRounds = !std::is_same_v<T, compute_t<T>>;
  CHECK((args.master != nullptr) == kRounds,
        "adamw: master weights are for rounded parameters, and only these");
  CHECK(args.step >= 1 && args.epsilon > 0, "adamw: step and epsilon must be positive, got {} and {}",
        args.step, args.epsilon);
  if (args.finite && *args.finite == 0) return;
  const AdamWScalars<compute_t<T>> by = adamw_scalars(args);
  for_parts(args.end - args.begin,
            [&](int64_t begin, int64_t count) { update(args, by, args.begin + begin, count); });
}

template void adamw(const AdamW<float>&);
template void adamw(const AdamW<bf16>&);
template void adamw(const AdamW<double>&);

}  // namespace prospect::kernels::cpu
