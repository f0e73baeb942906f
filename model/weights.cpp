#include "model/weights.h"

#include <algorithm>
#include <array>
#include <set>

#include "kernels/common/check.h"
#include "kernels/common/parallel.h"
#include "model/tensor_names.h"

namespace prospect {

namespace {

template <class... Args>
[[noreturn]] void refuse(const StoredTensor& tensor, fmt::format_string<Args...> format, Args&&... args) {
  fail(ExitCode::BadData, "{}: {}: {}", tensor.file, tensor.name,
       fmt::format(format, std::forward<Args>(args)...));
}

bool is_buffer(const TensorNames& names, const std::string& name) {
  return std::any_of(names.buffers.begin(), names.buffers.end(),
                     [&](std::string_view ending) { return !ending.empty() && name.ends_with(ending); });
}

void require_readable(const StoredTensor& tensor, const ParameterPart& part) {
  const Shape expected = part.transposed ? Shape(part.shape.rbegin(), part.shape.rend()) : part.shape;
  if (tensor.type == StoredType::Other)
    refuse(tensor, "weights of dtype {} are not supported", tensor.type_name);
  if (tensor.shape != expected) {
    refuse(tensor, "has shape {}, the config makes it {}", to_string(tensor.shape), to_string(expected));
  }
}

/// A tied head that is stored all the same must be the embedding.
void require_equal_head(const StoredTensor& head, const StoredTensor& embedding) {
  const bool equal = head.type == embedding.type && head.shape == embedding.shape &&
                     std::equal(head.bytes.begin(), head.bytes.end(), embedding.bytes.begin());
  if (!equal) refuse(head, "differs from {}, but the config ties them", embedding.name);
}

/// Our row `row` of a tensor whose heads are stored as interleaved pairs.
int64_t interleaved_row(int64_t row, int64_t head_rows) {
  const int64_t half = head_rows / 2, in_head = row % head_rows;
  return row - in_head + 2 * (in_head % half) + in_head / half;
}

/// Rows [begin, end) of one part, read from its tensor.
struct Reading {
  const StoredTensor* tensor;
  bool transposed;
  int64_t rows, columns;  ///< of the part
  std::byte* out;         ///< the part
  int64_t begin, end;
};

template <class T>
void read_rows(const Reading& reading) {
  const int64_t columns = reading.columns, heads = reading.tensor->interleaved_heads;
  T* out = reinterpret_cast<T*>(reading.out);
  for (int64_t row = reading.begin; row < reading.end; ++row) {
    const int64_t stored = heads == 0 ? row : interleaved_row(row, reading.rows / heads);
    decode(*reading.tensor, stored * columns,
           std::span<T>(out + row * columns, static_cast<size_t>(columns)));
  }
}

/// The tensor is stored [in, out]; a few output rows at a time keep reads and writes local.
template <class T>
void read_transposed(const Reading& reading) {
  constexpr int64_t kRows = 32;
  std::array<T, kRows> values;
  T* out = reinterpret_cast<T*>(reading.out);
  for (int64_t row = reading.begin; row < reading.end; row += kRows) {
    const int64_t count = std::min(kRows, reading.end - row);
    for (int64_t column = 0; column < reading.columns; ++column) {
      decode(*reading.tensor, column * reading.rows + row,
             std::span<T>(values.data(), static_cast<size_t>(count)));
      for (int64_t i = 0; i < count; ++i) {
        out[(row + i) * reading.columns + column] = values[static_cast<size_t>(i)];
      }
    }
  }
}

/// All parts, cut into pieces of about kPieceElements.
std::vector<Reading> plan_readings(const std::vector<std::vector<StoredTensor>>& matched,
                                   const Parameters& parameters) {
  constexpr int64_t kPieceElements = 1 << 18;
  std::vector<Reading> plan;
  for (size_t i = 0; i < matched.size(); ++i) {
    for (size_t p = 0; p < matched[i].size(); ++p) {
      const ParameterPart& part = parameters.specs()[i].parts[p];
      const int64_t rows = part.shape[0], columns = element_count(part.shape) / rows;
      const int64_t step = std::max<int64_t>(1, kPieceElements / columns);
      std::byte* out = parameters.part(i, p).bytes();
      for (int64_t begin = 0; begin < rows; begin += step) {
        plan.push_back(
            {&matched[i][p], part.transposed, rows, columns, out, begin, std::min(rows, begin + step)});
      }
    }
  }
  return plan;
}

}  // namespace

std::vector<std::vector<StoredTensor>> match_weights(const ModelConfig& config,
                                                     const std::vector<ParameterSpec>& specs,
                                                     const StoredWeights& weights,
                                                     const std::string& source) {
  const TensorNames& names = tensor_names(config.model_type);
  const std::string prefix = names.prefix;
  const bool prefixed = std::any_of(weights.begin(), weights.end(),
                                    [&](const auto& entry) { return entry.first.starts_with(prefix); });
  std::set<std::string> used;
  std::vector<std::vector<StoredTensor>> matched;
  for (const ParameterSpec& spec : specs) {
    matched.emplace_back();
    for (const ParameterPart& part : spec.parts) {
      const bool strip = !prefixed && part.name.starts_with(prefix);
      const std::string name = strip ? part.name.substr(prefix.size()) : part.name;
      const auto found = weights.find(name);
      if (found == weights.end()) fail(ExitCode::BadData, "{}: {}: missing", source, name);
      require_readable(found->second, part);
      used.insert(name);
      matched.back().push_back(found->second);
    }
  }
  for (const auto& [name, tensor] : weights) {
    if (used.contains(name) || is_buffer(names, name)) continue;
    if (name != kHeadTensor) refuse(tensor, "is no part of this {} model", config.model_type);
    require_equal_head(tensor, matched[0][0]);
  }
  return matched;
}

void read_weights(const std::vector<std::vector<StoredTensor>>& matched, const Parameters& parameters) {
  const std::vector<Reading> plan = plan_readings(matched, parameters);
  with_dtype(parameters.values().dtype(), [&]<class T>() {
    parallel_for_dynamic(std::ssize(plan), [&](int64_t i) {
      const Reading& reading = plan[static_cast<size_t>(i)];
      reading.transposed ? read_transposed<T>(reading) : read_rows<T>(reading);
    });
  });
}

std::string common_dtype(const std::vector<std::vector<StoredTensor>>& matched, bool matrices_only) {
  std::set<StoredType> types;
  for (const auto& parts : matched) {
    for (const StoredTensor& tensor : parts) {
      if (!matrices_only || tensor.shape.size() > 1) types.insert(tensor.type);
    }
  }
  const StoredTypeInfo& first = stored_type_info(*types.begin());
  return types.size() == 1 && first.block_elements == 1 ? std::string(first.name) : "F32";
}

}  // namespace prospect
