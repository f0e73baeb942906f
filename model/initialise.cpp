#include "model/initialise.h"

#include <cmath>
#include <numbers>

#include "kernels/common/parallel.h"
#include "kernels/common/philox.h"

namespace prospect {

namespace {

constexpr double kDeviation = 0.02;

/// A standard normal number for element `index` of parameter `parameter`. Source: Box and Muller, 1958.
double normal_at(uint64_t seed, uint32_t parameter, int64_t index) {
  const auto words =
      philox({static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), parameter, 0}, seed);
  const double u = (static_cast<double>(words[0]) + 1) * 0x1p-32, v = static_cast<double>(words[1]) * 0x1p-32;
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
}

double deviation_of(const ParameterSpec& spec, int64_t layers) {
  const bool writes_residual =
      spec.name.ends_with("attention.output.weight") || spec.name.ends_with("mlp.down.weight");
  return writes_residual ? kDeviation / std::sqrt(2.0 * static_cast<double>(layers)) : kDeviation;
}

}  // namespace

Model random_model(const ModelConfig& config, uint64_t seed, const LoadOptions& options,
                   const Device& device) {
  Model model{config, Parameters(parameter_layout(config), options.dtype, device, options.trainable),
              config.stored_dtype};
  for (size_t i = 0; i < model.parameters.specs().size(); ++i) {
    const ParameterSpec& spec = model.parameters.specs()[i];
    const Tensor value = model.parameters[i].value();
    const double deviation = deviation_of(spec, config.layers);
    with_dtype(options.dtype, [&]<class T>() {
      T* out = value.data<T>();
      parallel_for(value.count(), [&](int64_t e) {
        const bool drawn = spec.kind == ParameterKind::Matrix || spec.kind == ParameterKind::Embedding;
        const double norm_weight = spec.kind == ParameterKind::Norm && spec.name.ends_with(".weight") ? 1 : 0;
        const double x = drawn ? deviation * normal_at(seed, static_cast<uint32_t>(i), e) : norm_weight;
        out[e] = static_cast<T>(static_cast<compute_t<T>>(x));
      });
    });
  }
  return model;
}

}  // namespace prospect
