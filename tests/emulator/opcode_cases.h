#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <limits>

#include "tests/emulator/ptx_harness.h"

/// Instructions of one thread, each with operands and the result that it must have.
namespace prospect::emulator {

struct Case {
  std::string spelling;
  std::string letters;  ///< the result's width, then the operands': p, h, w, d; `i` is written into the text
  std::vector<uint64_t> operands;
  uint64_t expected;
};

inline constexpr uint64_t kMinus1 = 0xffffffffu, kMost = 0x7fffffffu, kLeast = 0x80000000u;

inline uint64_t f(float value) {
  return std::bit_cast<uint32_t>(value);
}
inline uint64_t d(double value) {
  return std::bit_cast<uint64_t>(value);
}
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Those of the table that begin so, in order.
inline std::vector<std::string> spellings(const std::vector<std::string>& beginnings) {
  std::vector<std::string> all;
  op_table().for_each([&](const Op& row) {
    for (const std::string& begin : beginnings) {
      if (row.spelling.starts_with(begin)) all.push_back(row.spelling);
    }
  });
  std::sort(all.begin(), all.end());
  return all;
}

inline std::string body_of(const Case& test) {
  std::string loads, names;
  for (size_t i = 0; i < test.operands.size(); ++i) {
    const char letter = test.letters[i + 1];
    if (letter == 'i') {
      names += fmt::format(", {}", test.operands[i]);
      continue;
    }
    names += fmt::format(", %{}{}", letter, i + 1);
    if (letter == 'p') {
      loads += fmt::format("ld.global.b32 %w15, [%in+{}];\nsetp.ne.b32 %p{}, %w15, 0;\n", 8 * i, i + 1);
    } else {
      loads += fmt::format("ld.global.b{} %{}{}, [%in+{}];\n",
                           letter == 'h'   ? 16
                           : letter == 'w' ? 32
                                           : 64,
                           letter, i + 1, 8 * i);
    }
  }
  const char result = test.letters[0];
  std::string store = fmt::format("st.global.b{} [%d7], %{}0;",
                                  result == 'h'   ? 16
                                  : result == 'w' ? 32
                                                  : 64,
                                  result);
  if (result == 'p') store = "selp.b32 %w0, 1, 0, %p0;\nst.global.b32 [%d7], %w0;";
  return fmt::format(
      "mov.u32 %w14, %tid.x;\nmul.wide.u32 %d6, %w14, 8;\nadd.u64 %d7, %out, %d6;\n{}{} %{}0{};\n{}", loads,
      test.spelling, result, names, store);
}

/// In a whole warp and in a part of one.
inline void check(const std::vector<Case>& cases) {
  PtxHarness harness;
  for (const Case& test : cases) {
    for (const uint32_t threads : {32u, 5u}) {
      SCOPED_TRACE(testing::Message() << test.spelling << " in " << threads << " lanes");
      try {
        const auto words = harness.run(body_of(test), std::vector<uint64_t>(threads), test.operands, threads);
        for (const uint64_t word : words) ASSERT_EQ(word, test.expected);
      } catch (const std::exception& error) {
        FAIL() << error.what();
      }
    }
  }
}

}  // namespace prospect::emulator
