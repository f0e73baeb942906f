#include "kernels/attention/attention.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "engine/ops.h"
#include "kernels/common/threads.h"
#include "tests/support/gradient_check.h"
#include "tests/support/near.h"
#include "tests/support/random.h"

namespace prospect::test {
namespace {

/// Sequences of `queries` at the end of `keys` rows, one after another in the same packed rows.
struct Lengths {
  int32_t queries, keys;
};
struct Shaped {
  AttentionOptions options;
  std::vector<Lengths> sequences;

  int64_t tokens() const {
    int64_t sum = 0;
    for (const Lengths& length : sequences) sum += length.keys;
    return sum;
  }
  Tensor bounds() const {
    std::vector<int32_t> rows;
    int32_t begin = 0;
    for (const auto& [queries, keys] : sequences) {
      rows.insert(rows.end(), {begin + keys - queries, begin + keys, begin, begin + keys});
      begin += keys;
    }
    return Tensor::from(rows, {std::ssize(sequences), 4}, Device::cpu());
  }
  Tensor qkv(DType dtype, uint64_t seed = 1) const {
    return normal_tensor({tokens(), options.layout.columns()}, dtype, seed);
  }
};

struct Direct {
  std::vector<double> y, dqkv;
};

/// One query row of one head by the formula, in double: adds to y, and for a given dy to the gradient.
void direct_row(const Shaped& shaped, const std::vector<double>& qkv, const std::vector<double>& dy,
                int64_t query, int64_t head, int64_t key_begin, Direct& result) {
  const auto& [heads, kv_heads, dim] = shaped.options.layout;
  const int64_t width = shaped.options.layout.columns(), window = shaped.options.window;
  const double scale = shaped.options.scale != 0 ? shaped.options.scale : 1 / std::sqrt(double(dim));
  const int64_t kv_head = head / (heads / kv_heads);
  const int64_t first = window > 0 ? std::max(key_begin, query - window + 1) : key_begin;
  const int64_t q = query * width + head * dim, o = (query * heads + head) * dim;
  const auto k = [&](int64_t key) { return key * width + (heads + kv_head) * dim; };
  const auto v = [&](int64_t key) { return key * width + (heads + kv_heads + kv_head) * dim; };
  std::vector<double> p, dp;
  double highest = -INFINITY, sum = 0, dot = 0;
  for (int64_t key = first; key <= query; ++key) {
    double score = 0;
    for (int64_t c = 0; c < dim; ++c) score += qkv[q + c] * qkv[k(key) + c];
    p.push_back(scale * score);
    highest = std::max(highest, p.back());
  }
  for (double& value : p) sum += value = std::exp(value - highest);
  for (double& value : p) value /= sum;
  for (int64_t key = first; key <= query; ++key) {
    for (int64_t c = 0; c < dim; ++c) result.y[o + c] += p[key - first] * qkv[v(key) + c];
  }
  for (int64_t key = first; key <= query; ++key) {
    dp.push_back(0);
    for (int64_t c = 0; c < dim; ++c) dp.back() += dy[o + c] * qkv[v(key) + c];
    dot += p[key - first] * dp.back();
  }
  for (int64_t key = first; key <= query; ++key) {
    const double ds = scale * p[key - first] * (dp[key - first] - dot);
    for (int64_t c = 0; c < dim; ++c) {
      result.dqkv[q + c] += ds * qkv[k(key) + c];
      result.dqkv[k(key) + c] += ds * qkv[q + c];
      result.dqkv[v(key) + c] += p[key - first] * dy[o + c];
    }
  }
}

/// softmax(scale Q K^T) V and its gradient, a row at a time.
Direct direct(const Shaped& shaped, const Tensor& qkv, const Tensor& dy) {
  const auto inputs = to_doubles(qkv), gradients = to_doubles(dy);
  Direct result{std::vector<double>(gradients.size()), std::vector<double>(inputs.size())};
  int64_t begin = 0;
  for (const auto& [queries, keys] : shaped.sequences) {
    for (int64_t query = begin + keys - queries; query < begin + keys; ++query) {
      for (int64_t head = 0; head < shaped.options.layout.heads; ++head) {
        direct_row(shaped, inputs, gradients, query, head, begin, result);
      }
    }
    begin += keys;
  }
  return result;
}

/// The operation itself, forward and backward.
struct Result {
  Tensor y, dqkv;
};
Result run(const Shaped& shaped, const Tensor& qkv, const Tensor& dy) {
  const auto x = Variable::parameter(qkv);
  const Variable y = attention(x, shaped.bounds(), shaped.options);
  backward(y, dy);
  return {y.value(), x.grad()};
}

Tensor output_gradient(const Shaped& shaped, DType dtype) {
  return normal_tensor({shaped.tokens(), shaped.options.layout.heads * shaped.options.layout.head_dim}, dtype,
                       7);
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.byte_count() == b.byte_count() && std::memcmp(a.bytes(), b.bytes(), a.byte_count()) == 0;
}

const Shaped kGrouped{{.layout = {6, 2, 24}}, {{1, 1}, {2, 2}, {33, 33}, {64, 64}, {65, 65}, {130, 130}}};
const Shaped kShapes[] = {
    kGrouped,
    {{.layout = {2, 2, 8}}, {{17, 17}, {1, 100}, {0, 5}, {40, 129}}},
    {{.layout = {3, 1, 16}, .window = 1}, {{20, 20}}},
    {{.layout = {3, 1, 16}, .scale = 0.5, .window = 30}, {{130, 130}, {7, 90}}},
    {{.layout = {9, 3, 64}}, {{55, 55}, {100, 100}}},
    {{.layout = {5, 1, 80}, .window = 70}, {{128, 128}, {2, 128}}},
    {{.layout = {1, 1, 256}}, {{97, 97}}},
    {{.layout = {100, 1, 8}}, {{3, 70}}},
};

TEST(Attention, AgreesWithTheFormulaInDouble) {
  // A score is a sum of up to 256 products that add up to less than 2^8 in size, so it errs by less than 2^16
  // roundings of 2^-53; probabilities take twice that and at most 130 values of size 4 follow.
  const double tolerance = 0x1p20 * unit_roundoff(DType::F64);
  for (const Shaped& shaped : kShapes) {
    const Tensor qkv = shaped.qkv(DType::F64), dy = output_gradient(shaped, DType::F64);
    const Direct expected = direct(shaped, qkv, dy);
    const Result actual = run(shaped, qkv, dy);
    EXPECT_TRUE(near(actual.y, expected.y, tolerance)) << "head_dim " << shaped.options.layout.head_dim;
    EXPECT_TRUE(near(actual.dqkv, expected.dqkv, tolerance)) << "head_dim " << shaped.options.layout.head_dim;
  }
}

TEST(Attention, SinglePrecisionAgreesWithDouble) {
  // Roundings of a score are independent: sqrt(256) of them, and a few for exp, sum and output. The gradient
  // subtracts sums of nearly equal size, which costs another factor of four.
  const double u = unit_roundoff(DType::F32);
  for (const Shaped& shaped : kShapes) {
    const Tensor qkv = shaped.qkv(DType::F32), dy = output_gradient(shaped, DType::F32);
    const Direct expected = direct(shaped, qkv, dy);
    const Result actual = run(shaped, qkv, dy);
    EXPECT_LE(relative_distance(to_doubles(actual.y), expected.y), 20 * u);
    EXPECT_LE(relative_distance(to_doubles(actual.dqkv), expected.dqkv), 80 * u);
  }
}

TEST(Attention, BfloatStorageAgreesWithDouble) {
  // The output is rounded once. The gradient is rounded once too, and takes do . o from the rounded output.
  const double u = unit_roundoff(DType::BF16);
  for (const Shaped& shaped : kShapes) {
    const Tensor qkv = shaped.qkv(DType::BF16), dy = output_gradient(shaped, DType::BF16);
    const Direct expected = direct(shaped, qkv, dy);
    const Result actual = run(shaped, qkv, dy);
    EXPECT_LE(relative_distance(to_doubles(actual.y), expected.y), u);
    EXPECT_LE(relative_distance(to_doubles(actual.dqkv), expected.dqkv), 2 * u);
  }
}

TEST(Attention, LargeScoresStayFinite) {
  const Shaped shaped{{.layout = {2, 1, 8}, .scale = 100}, {{130, 130}}};
  const Tensor qkv = shaped.qkv(DType::F32), dy = output_gradient(shaped, DType::F32);
  const Direct expected = direct(shaped, qkv, dy);
  // Scores of up to 3000 err by a few of their own roundings, 1e-3, and so do the probabilities.
  EXPECT_LE(relative_distance(to_doubles(run(shaped, qkv, dy).y), expected.y), 1e-3);
}

TEST(Attention, ReportsWhatIsNotANumber) {
  const Shaped shaped{{.layout = {1, 1, 8}}, {{70, 70}, {3, 3}}};
  const Tensor qkv = shaped.qkv(DType::F32);
  qkv.data<float>()[69 * 24] = NAN;
  const auto y = to_doubles(attention(Variable(qkv), shaped.bounds(), shaped.options).value());
  EXPECT_FALSE(std::isnan(y[68 * 8]));
  EXPECT_TRUE(std::isnan(y[69 * 8]));
  EXPECT_FALSE(std::isnan(y[70 * 8]));
}

TEST(Attention, GradientsMatchFiniteDifferences) {
  const Shaped shapes[] = {{{.layout = {2, 1, 8}}, {{5, 5}, {2, 6}}},
                           {{.layout = {2, 2, 8}, .scale = 0.7, .window = 2}, {{4, 4}, {1, 1}}}};
  const int before = thread_count();
  omp_set_num_threads(1);  // thousands of tiny calls, each cheaper than waking a thread
  for (const Shaped& shaped : shapes) {
    check_gradients([&](auto in) { return attention(in[0], shaped.bounds(), shaped.options); },
                    {shaped.qkv(DType::F64)});
  }
  omp_set_num_threads(before);
}

TEST(Attention, SequencesAreTheSameAloneAsPacked) {
  const Tensor qkv = kGrouped.qkv(DType::F32), dy = output_gradient(kGrouped, DType::F32);
  const Result packed = run(kGrouped, qkv, dy);
  int64_t begin = 0;
  for (const Lengths& length : kGrouped.sequences) {
    const int64_t end = begin + length.keys;
    const Result alone =
        run({kGrouped.options, {length}}, qkv.rows(begin, end).clone(), dy.rows(begin, end).clone());
    EXPECT_TRUE(same_bits(alone.y, packed.y.rows(begin, end))) << length.keys;
    EXPECT_TRUE(same_bits(alone.dqkv, packed.dqkv.rows(begin, end))) << length.keys;
    begin = end;
  }
}

TEST(Attention, EveryNumberOfThreadsGivesTheSameBits) {
  // One head of keys: more than one thread takes the split schedule of the backward pass.
  const Shaped single{{.layout = {4, 1, 16}, .window = 100}, {{130, 200}}};
  const int before = thread_count();
  for (const Shaped& shaped : {single, kGrouped}) {
    const Tensor qkv = shaped.qkv(DType::F32), dy = output_gradient(shaped, DType::F32);
    omp_set_num_threads(1);
    const Result expected = run(shaped, qkv, dy);
    for (const int threads : {2, 3, 7}) {
      omp_set_num_threads(threads);
      const Result actual = run(shaped, qkv, dy);
      EXPECT_TRUE(same_bits(actual.y, expected.y)) << threads;
      EXPECT_TRUE(same_bits(actual.dqkv, expected.dqkv)) << threads;
    }
  }
  omp_set_num_threads(before);
}

TEST(Attention, ACacheGivesWhatTheWholeSequenceGives) {
  const Shaped shaped{{.layout = {6, 2, 24}, .window = 90}, {{40, 40}, {130, 130}}};
  const Tensor qkv = shaped.qkv(DType::F64);
  const Tensor full = attention(Variable(qkv), shaped.bounds(), shaped.options).value();
  const Tensor keys = Tensor::empty({170, 48}, DType::F64, Device::cpu()), values = keys.clone();
  for (int64_t t = 0; t < 170; ++t) {
    std::copy_n(qkv.data<double>() + t * 240 + 144, 48, keys.data<double>() + t * 48);
    std::copy_n(qkv.data<double>() + t * 240 + 192, 48, values.data<double>() + t * 48);
  }
  // The last query of the first sequence, the last three of the second.
  const Tensor queries = Tensor::empty({4, 240}, DType::F64, Device::cpu());
  queries.rows(0, 1).copy_from(qkv.rows(39, 40));
  queries.rows(1, 4).copy_from(qkv.rows(167, 170));
  const Tensor bounds = Tensor::from(std::vector<int32_t>{0, 1, 0, 40, 1, 4, 40, 170}, {2, 4}, Device::cpu());
  const Tensor y = attention_cached(queries, keys, values, bounds, shaped.options);
  EXPECT_TRUE(near(y.rows(0, 1), full.rows(39, 40), 0x1p12 * unit_roundoff(DType::F64)));
  EXPECT_TRUE(near(y.rows(1, 4), full.rows(167, 170), 0x1p12 * unit_roundoff(DType::F64)));
}

std::vector<double> numbers(std::istream& file) {
  std::string line;
  std::getline(file, line);
  std::istringstream words(line);
  return {std::istream_iterator<double>(words), {}};
}

/// Copies [rows, columns] values into columns [first, ...) of the last rows of qkv.
void place(const Tensor& qkv, int64_t first, const std::vector<double>& values, int64_t columns) {
  const int64_t rows = std::ssize(values) / columns, skipped = qkv.size(0) - rows;
  for (int64_t r = 0; r < rows; ++r) {
    std::copy_n(values.data() + r * columns, columns,
                qkv.data<double>() + (skipped + r) * qkv.size(1) + first);
  }
}

TEST(Attention, AgreesWithPyTorch) {
  for (const std::string name : {"grouped", "window", "late_queries"}) {
    std::ifstream file(std::string(PROSPECT_SOURCE_DIR) + "/tests/golden/attention/" + name + ".txt");
    ASSERT_TRUE(file) << name;
    const auto sizes = numbers(file);
    ASSERT_EQ(sizes.size(), 6u);
    const auto m = static_cast<int32_t>(sizes[0]), n = static_cast<int32_t>(sizes[1]);
    const auto heads = static_cast<int64_t>(sizes[2]), kv_heads = static_cast<int64_t>(sizes[3]),
               dim = static_cast<int64_t>(sizes[4]), window = static_cast<int64_t>(sizes[5]);
    const Shaped shaped{{.layout = {heads, kv_heads, dim}, .window = window}, {{m, n}}};
    const Tensor qkv = Tensor::zeros({n, shaped.options.layout.columns()}, DType::F64, Device::cpu());
    const Tensor expected = qkv.clone();
    const Tensor y = Tensor::zeros({n, heads * dim}, DType::F64, Device::cpu()), dy = y.clone();
    const int64_t key_column = heads * dim, value_column = (heads + kv_heads) * dim;
    place(qkv, 0, numbers(file), heads * dim);
    place(qkv, key_column, numbers(file), kv_heads * dim);
    place(qkv, value_column, numbers(file), kv_heads * dim);
    place(dy, 0, numbers(file), heads * dim);
    place(y, 0, numbers(file), heads * dim);
    place(expected, 0, numbers(file), heads * dim);
    place(expected, key_column, numbers(file), kv_heads * dim);
    place(expected, value_column, numbers(file), kv_heads * dim);
    const Result actual = run(shaped, qkv, dy);
    // Two computations in double of sums of a few dozen terms of order 1.
    EXPECT_TRUE(near(actual.y, y, 1e-14)) << name;
    EXPECT_TRUE(near(actual.dqkv, expected, 1e-13)) << name;
  }
}

std::string complaint(const std::vector<int32_t>& bounds, const AttentionOptions& options, bool gradient) {
  const Tensor qkv = normal_tensor({4, options.layout.columns()}, DType::F32, 1);
  try {
    attention(gradient ? Variable::parameter(qkv) : Variable(qkv),
              Tensor::from(bounds, {std::ssize(bounds) / 4, 4}, Device::cpu()), options);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Attention, RefusesWhatItCannotCompute) {
  const AttentionOptions options{.layout = {2, 1, 8}};
  EXPECT_EQ(complaint({0, 4, 0, 4}, {.layout = {2, 1, 12}}, false),
            "attention: head_dim must be a multiple of 8 up to 256, got 12");
  EXPECT_EQ(complaint({0, 4, 0, 5}, options, false),
            "attention: bounds of sequence 0 are queries [0, 4) of 4 and keys [0, 5) of 4");
  EXPECT_EQ(complaint({0, 4, 1, 4}, options, false), "attention: sequence 0 has 4 queries but only 3 keys");
  EXPECT_EQ(complaint({0, 2, 0, 2, 1, 4, 0, 4}, options, false),
            "attention: a row is a query of two sequences");
  const std::vector<int32_t> shared{2, 3, 0, 3, 3, 4, 0, 4};
  EXPECT_EQ(complaint(shared, options, false), "");
  EXPECT_EQ(complaint(shared, options, true),
            "attention: a row is a key of two sequences, which has no gradient");
}

}  // namespace
}  // namespace prospect::test
