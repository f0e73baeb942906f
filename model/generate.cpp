#include "model/generate.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/common/parallel.h"
#include "kernels/common/philox.h"

namespace prospect {

namespace {

/// Keys and values of all sequences: sequence s owns rows [begin[s], begin[s] + room) of each layer's two
/// tensors.
class KeyValueCache {
 public:
  KeyValueCache(const ModelConfig& config, DType dtype, const Device& device,
                const std::vector<std::vector<int32_t>>& prompts, int64_t max_new_tokens)
      : config_(config), layout_(config.head_layout()) {
    int64_t rows = 0;
    for (const auto& prompt : prompts) {
      begin_.push_back(rows);
      rows += std::ssize(prompt) + max_new_tokens;
    }
    for (int64_t layer = 0; layer < config.layers; ++layer) {
      keys_.push_back(Tensor::empty({rows, layout_.kv_heads * layout_.head_dim}, dtype, device));
      values_.push_back(Tensor::empty({rows, layout_.kv_heads * layout_.head_dim}, dtype, device));
    }
  }

  int64_t begin(size_t sequence) const { return begin_[sequence]; }

  /// Puts the keys and values of each row of qkv where `rows` says, then attends over the cache.
  Tensor attend(int64_t layer, const Tensor& qkv, const std::vector<int64_t>& rows,
                const Tensor& bounds) const {
    const Tensor &keys = keys_[static_cast<size_t>(layer)], &values = values_[static_cast<size_t>(layer)];
    const int64_t element = dtype_bytes(qkv.dtype()),
                  query_bytes = layout_.heads * layout_.head_dim * element,
                  key_bytes = layout_.kv_heads * layout_.head_dim * element,
                  row_bytes = query_bytes + 2 * key_bytes;
    for (int64_t t = 0; t < qkv.size(0); ++t) {
      const std::byte* source = qkv.bytes() + t * row_bytes + query_bytes;
      const int64_t row = rows[static_cast<size_t>(t)];
      std::memcpy(keys.bytes() + row * key_bytes, source, static_cast<size_t>(key_bytes));
      std::memcpy(values.bytes() + row * key_bytes, source + key_bytes, static_cast<size_t>(key_bytes));
    }
    return attention_cached(qkv, keys, values, bounds, config_.attention_options(layer));
  }

 private:
  const ModelConfig& config_;
  HeadLayout layout_;
  std::vector<int64_t> begin_;
  std::vector<Tensor> keys_, values_;
};

/// One sequence while it grows.
struct Stream {
  size_t prompt;
  int64_t length;                ///< tokens whose keys are in the cache
  std::vector<int32_t> pending;  ///< tokens to run next: the prompt first, then one at a time
};

/// Runs the pending tokens of all streams and returns the logits after each stream's last one, [streams, V]
/// f32.
Tensor advance(const Transformer& transformer, const KeyValueCache& cache, std::vector<Stream>& streams) {
  const Device& device = transformer.head_weight().value().device();
  std::vector<int32_t> ids, positions, bounds, last;
  std::vector<int64_t> rows;
  for (Stream& stream : streams) {
    const auto query_begin = static_cast<int32_t>(ids.size());
    const int64_t begin = cache.begin(stream.prompt);
    for (const int32_t id : stream.pending) {
      ids.push_back(id);
      positions.push_back(static_cast<int32_t>(stream.length));
      rows.push_back(begin + stream.length++);
    }
    const auto query_end = static_cast<int32_t>(ids.size());
    bounds.insert(bounds.end(), {query_begin, query_end, static_cast<int32_t>(begin),
                                 static_cast<int32_t>(begin + stream.length)});
    last.push_back(query_end - 1);
  }
  const PackedTokens tokens{.ids = Tensor::from(ids, device),
                            .positions = Tensor::from(positions, device),
                            .bounds = Tensor::from(bounds, {std::ssize(streams), 4}, device),
                            .examples = Tensor::zeros({std::ssize(ids)}, DType::I32, device)};
  const Variable hidden = transformer.hidden(tokens, {}, [&](int64_t layer, const Variable& qkv) {
    return Variable(cache.attend(layer, qkv.value(), rows, tokens.bounds));
  });
  const Variable picked = embedding(hidden, Tensor::from(last, device));
  return convert(matmul(picked, transformer.head_weight()).value(), DType::F32);
}

void require_finite(const Tensor& logits) {
  for (const float logit : logits.values<float>()) {
    if (!std::isfinite(logit))
      fail(ExitCode::NumericStop, "generate: the model gives a logit that is not finite");
  }
}

void check_prompts(const ModelConfig& config, const std::vector<std::vector<int32_t>>& prompts,
                   const SamplingOptions& options) {
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (prompts[i].empty()) fail(ExitCode::BadData, "generate: prompt {} has no token", i + 1);
    if (options.max_new_tokens > config.max_positions - std::ssize(prompts[i])) {
      fail(ExitCode::BadData,
           "generate: prompt {} has {} tokens; with {} new ones that passes the model's {}", i + 1,
           prompts[i].size(), options.max_new_tokens, config.max_positions);
    }
  }
}

/// exp((x - highest) / temperature) of the candidates, and how many of them (sorted, likeliest first) stay.
int64_t keep_likeliest(std::vector<int32_t>& ids, std::vector<double>& weights,
                       const SamplingOptions& options) {
  std::vector<int32_t> order(ids.size());
  std::iota(order.begin(), order.end(), 0);
  const auto likelier = [&](int32_t a, int32_t b) {
    const auto i = static_cast<size_t>(a), j = static_cast<size_t>(b);
    return weights[i] != weights[j] ? weights[i] > weights[j] : a < b;
  };
  const int64_t count =
      options.top_k > 0 ? std::min<int64_t>(options.top_k, std::ssize(ids)) : std::ssize(ids);
  std::partial_sort(order.begin(), order.begin() + count, order.end(), likelier);
  std::vector<double> sorted;
  for (int64_t i = 0; i < count; ++i)
    sorted.push_back(weights[static_cast<size_t>(order[static_cast<size_t>(i)])]);
  const double total = std::accumulate(sorted.begin(), sorted.end(), 0.0);
  double reached = 0;
  int64_t kept = 0;
  while (kept < count && (kept == 0 || reached < options.top_p * total))
    reached += sorted[static_cast<size_t>(kept++)];
  order.resize(static_cast<size_t>(kept));
  sorted.resize(static_cast<size_t>(kept));
  ids = std::move(order);
  weights = std::move(sorted);
  return kept;
}

}  // namespace

int32_t sample_token(std::span<const float> logits, const SamplingOptions& options, double uniform) {
  if (options.token_limit > 0)
    logits = logits.first(std::min<size_t>(logits.size(), static_cast<size_t>(options.token_limit)));
  const auto highest = std::max_element(logits.begin(), logits.end());
  if (options.temperature <= 0) return static_cast<int32_t>(highest - logits.begin());
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::vector<double> weights(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    weights[i] =
        std::exp((static_cast<double>(logits[i]) - static_cast<double>(*highest)) / options.temperature);
  }
  if (options.top_k > 0 || options.top_p < 1) keep_likeliest(ids, weights, options);
  double left = uniform * std::accumulate(weights.begin(), weights.end(), 0.0);
  for (size_t i = 0; i < ids.size(); ++i) {
    left -= weights[i];
    if (left < 0) return ids[i];
  }
  // Rounding left a trace: the last token that has any probability.
  size_t last = ids.size() - 1;
  while (last > 0 && weights[last] == 0) --last;
  return ids[last];
}

std::vector<std::vector<int32_t>> generate(const Transformer& transformer,
                                           const std::vector<std::vector<int32_t>>& prompts,
                                           const SamplingOptions& options, int64_t first_index) {
  check_prompts(transformer.config(), prompts, options);
  const NoGrad off;
  const Tensor& weight = transformer.head_weight().value();
  const KeyValueCache cache(transformer.config(), weight.dtype(), weight.device(), prompts,
                            options.max_new_tokens);
  const auto& ends = transformer.config().eos_tokens;
  std::vector<std::vector<int32_t>> answers(prompts.size());
  std::vector<Stream> streams;
  for (size_t i = 0; i < prompts.size(); ++i) streams.push_back({i, 0, prompts[i]});
  for (int64_t step = 0; step < options.max_new_tokens && !streams.empty(); ++step) {
    const Tensor logits = advance(transformer, cache, streams);
    require_finite(logits);
    const auto row_size = static_cast<size_t>(logits.size(1));
    parallel_for(std::ssize(streams), [&](int64_t s) {
      Stream& stream = streams[static_cast<size_t>(s)];
      const auto index = static_cast<uint32_t>(first_index + static_cast<int64_t>(stream.prompt));
      const auto words = philox({static_cast<uint32_t>(step), index, 0, 0}, options.seed);
      const auto row = logits.values<float>().subspan(static_cast<size_t>(s) * row_size, row_size);
      stream.pending = {sample_token(row, options, static_cast<double>(words[0]) * 0x1p-32)};
    });
    std::vector<Stream> alive;
    for (Stream& stream : streams) {
      if (std::find(ends.begin(), ends.end(), stream.pending[0]) != ends.end()) continue;
      answers[stream.prompt].push_back(stream.pending[0]);
      alive.push_back(std::move(stream));
    }
    streams = std::move(alive);
  }
  return answers;
}

}  // namespace prospect
