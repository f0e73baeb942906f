// Loads, stores and atomics: every spelling that the table has, taken apart here and compared with what its
// words say.
#include <algorithm>
#include <cstring>

#include "tests/emulator/opcode_cases.h"

namespace prospect::emulator {
namespace {

/// "ld.relaxed.gpu.global.v2.u16" in words.
struct Spelling {
  explicit Spelling(const std::string& text) {
    for (size_t begin = 0; begin <= text.size();) {
      const size_t end = std::min(text.find('.', begin), text.size());
      words.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  bool has(const std::string& word) const {
    return std::find(words.begin(), words.end(), word) != words.end();
  }
  char kind() const { return words.back()[0]; }  ///< b, u, s or f
  int bits() const { return std::stoi(words.back().substr(1)); }
  size_t elements() const { return has("v4") ? 4 : has("v2") ? 2 : 1; }
  bool is_shared() const { return has("shared") || has("shared::cta") || has("shared::cluster"); }

  std::vector<std::string> words;
};

constexpr uint64_t kPattern[4] = {0x80818283848586f7, 0x0123456789abcdef, 0xf0e1d2c3b4a59687,
                                  0x1122334455667788};

/// 32 bytes of a space, where %d7 points; the whole of it goes there or comes from there through these.
struct Place {
  explicit Place(const Spelling& spelling) {
    if (spelling.is_shared()) {
      setup = "mov.u64 %d7, dynamic;\n", space = ".shared";
    } else if (spelling.has("local")) {
      setup = ".local .align 32 .b8 mem[32];\nmov.u64 %d7, mem;\n", space = ".local";
    } else {
      setup = "mov.u64 %d7, %out;\n", space = ".global";
    }
  }
  std::string all(const char* instruction) const {
    std::string text;
    for (int i = 0; i < 4; ++i) {
      text +=
          std::string(instruction) == "fill"
              ? fmt::format("ld.global.b64 %d0, [%in+{}];\nst{}.b64 [%d7+{}], %d0;\n", 8 * i, space, 8 * i)
              : fmt::format("ld{}.b64 %d0, [%d7+{}];\nst.global.b64 [%out+{}], %d0;\n", space, 8 * i, 8 * i);
    }
    return text;
  }
  std::string setup, space;
};

std::string registers(size_t count) {
  std::string names = "%d1";
  for (size_t i = 1; i < count; ++i) names += fmt::format(", %d{}", i + 1);
  return count == 1 ? names : "{" + names + "}";
}

class OpcodeMemory : public testing::Test {
 protected:
  std::vector<uint64_t> run(const std::string& body, const std::vector<uint64_t>& inputs) {
    return harness_.run(body, {0, 0, 0, 0}, inputs, 1, 1, 64);
  }

 private:
  PtxHarness harness_;
};

const std::vector<uint64_t> kInputs(std::begin(kPattern), std::end(kPattern));

uint64_t element(const Spelling& spelling, size_t index) {
  const auto bytes = static_cast<size_t>(spelling.bits()) / 8;
  uint64_t value = 0;
  std::memcpy(&value, reinterpret_cast<const char*>(kPattern) + index * bytes, bytes);
  const bool is_negative = spelling.kind() == 's' && (value >> (spelling.bits() - 1) & 1) != 0;
  return is_negative && spelling.bits() < 64 ? value | ~uint64_t{0} << spelling.bits() : value;
}

/// Into registers of 64 bits, so that it shows what stands above the value.
TEST_F(OpcodeMemory, LoadsExtendWhatTheyRead) {
  for (const std::string& text : spellings({"ld."})) {
    SCOPED_TRACE(text);
    const Spelling spelling(text);
    if (spelling.has("param")) continue;
    const Place place(spelling);
    std::string body = place.setup + place.all("fill") +
                       fmt::format("{} {}, [%d7];\n", text, registers(spelling.elements()));
    for (size_t i = 0; i < spelling.elements(); ++i)
      body += fmt::format("st.global.b64 [%out+{}], %d{};\n", 8 * i, i + 1);
    const std::vector<uint64_t> words = run(body, kInputs);
    for (size_t i = 0; i < spelling.elements(); ++i) ASSERT_EQ(words[i], element(spelling, i)) << i;
  }
}

/// Parameters are the addresses of the output and the input, 16 bytes side by side.
TEST_F(OpcodeMemory, ParametersAreLoadedToo) {
  for (const std::string& text : spellings({"ld.param."})) {
    SCOPED_TRACE(text);
    const Spelling spelling(text);
    std::string body = "ld.param.u64 %d6, [p_out];\nst.global.b64 [%out+24], %d6;\n" +
                       fmt::format("{} {}, [p_out];\n", text, registers(spelling.elements()));
    const size_t shown = std::min<size_t>(spelling.elements(), 3);
    for (size_t i = 0; i < shown; ++i) body += fmt::format("st.global.b64 [%out+{}], %d{};\n", 8 * i, i + 1);
    const std::vector<uint64_t> words = run(body, kInputs);
    for (size_t i = 0; i < shown && (i + 1) * static_cast<size_t>(spelling.bits()) <= 64; ++i) {
      const auto bits = static_cast<size_t>(spelling.bits());
      uint64_t value = words[3] >> (i * bits);
      if (bits < 64) value &= (uint64_t{1} << bits) - 1;
      if (bits < 64 && spelling.kind() == 's' && (value >> (bits - 1) & 1) != 0)
        value |= ~uint64_t{0} << bits;
      ASSERT_EQ(words[i], value) << i;
    }
  }
}

TEST_F(OpcodeMemory, StoresWriteNoMoreThanTheirElements) {
  for (const std::string& text : spellings({"st."})) {
    SCOPED_TRACE(text);
    const Spelling spelling(text);
    const Place place(spelling);
    std::string body = place.setup + place.all("fill");
    for (size_t i = 0; i < spelling.elements(); ++i)
      body += fmt::format("mov.u64 %d{}, {};\n", i + 1, 0x1011121314151617 * (i + 1));
    body += fmt::format("{} [%d7], {};\n", text, registers(spelling.elements())) + place.all("show");
    const std::vector<uint64_t> words = run(body, kInputs);
    std::vector<uint64_t> expected = kInputs;
    const auto bytes = static_cast<size_t>(spelling.bits()) / 8;
    for (size_t i = 0; i < spelling.elements(); ++i) {
      const uint64_t value = 0x1011121314151617 * (i + 1);
      std::memcpy(reinterpret_cast<char*>(expected.data()) + i * bytes, &value, bytes);
    }
    ASSERT_EQ(words, expected);
  }
}

template <class T>
T as(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

/// What stands in memory behind an atomic on `old`; c is the second operand of cas.
template <class T>
T updated(const Spelling& spelling, T old, T b, T c) {
  if (spelling.has("add")) return static_cast<T>(old + b);
  if (spelling.has("min")) return std::min(old, b);
  if (spelling.has("max")) return std::max(old, b);
  if (spelling.has("exch")) return b;
  if (spelling.has("cas")) return old == b ? c : old;
  if constexpr (std::is_unsigned_v<T>) {
    if (spelling.has("inc")) return old >= b ? 0 : old + 1;
    if (spelling.has("and")) return old & b;
    if (spelling.has("or")) return old | b;
    if (spelling.has("xor")) return old ^ b;
  }
  ADD_FAILURE() << "an atomic of another kind";
  return old;
}

uint64_t updated_bits(const Spelling& spelling, uint64_t old, uint64_t b, uint64_t c) {
  const auto of = [&]<class T>(T) {
    const T value = updated<T>(spelling, as<T>(old), as<T>(b), as<T>(c));
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    return bits;
  };
  const bool is_wide = spelling.bits() == 64;
  if (spelling.kind() == 'f') return is_wide ? of(double{}) : of(float{});
  if (spelling.kind() == 's') return is_wide ? of(int64_t{}) : of(int32_t{});
  return is_wide ? of(uint64_t{}) : of(uint32_t{});
}

TEST_F(OpcodeMemory, AtomicsReturnTheOldValueAndLeaveTheNew) {
  for (const std::string& text : spellings({"atom.", "red."})) {
    SCOPED_TRACE(text);
    const Spelling spelling(text);
    const Place place(spelling);
    const bool is_float = spelling.kind() == 'f', is_wide = spelling.bits() == 64,
               returns = spelling.has("atom");
    for (const auto& [old, b] :
         {std::pair<uint64_t, uint64_t>{7, 2}, {kMinus1, 3}, {~uint64_t{0}, ~uint64_t{0}}, {1, 5}}) {
      const auto bits = [&](uint64_t value) {
        const auto number = static_cast<double>(static_cast<int32_t>(value));
        return !is_float ? (is_wide ? value : value & kMinus1)
               : is_wide ? d(number)
                         : f(static_cast<float>(number));
      };
      const uint64_t c = bits(9);
      const char* letter = is_wide ? "d" : "w";
      std::string body = place.setup + place.all("fill");
      for (int i = 1; i <= 2; ++i)
        body += fmt::format("ld.global.b{} %{}{}, [%in+{}];\n", spelling.bits(), letter, i, 8 * i);
      body += returns ? fmt::format("{} %{}3, [%d7], %{}1{};\nst.global.b{} [%out+8], %{}3;\n", text, letter,
                                    letter, spelling.has("cas") ? fmt::format(", %{}2", letter) : "",
                                    spelling.bits(), letter)
                      : fmt::format("{} [%d7], %{}1;\n", text, letter);
      body += fmt::format("ld{}.b64 %d0, [%d7];\nst.global.b64 [%out], %d0;\n", place.space);
      const uint64_t before = bits(old), with = bits(b);
      std::vector<uint64_t> words = run(body, {before, with, c, 0});
      ASSERT_EQ(words[0], updated_bits(spelling, before, with, c));
      if (returns) {
        ASSERT_EQ(words[1], before);
      }
    }
  }
}

/// Both widths of cache line hints and both caches; what is not given becomes zeros.
TEST_F(OpcodeMemory, AsynchronousCopies) {
  for (const std::string& text : spellings({"cp.async.ca.", "cp.async.cg."})) {
    SCOPED_TRACE(text);
    const std::string body = "mov.u64 %d7, dynamic;\n" + text + " [%d7], [%in], 16, 12;\n" + text +
                             " [%d7+16], [%in+16], 16;\ncp.async.commit_group;\ncp.async.wait_group 0;\n" +
                             Place(Spelling("ld.shared.b64")).all("show");
    ASSERT_EQ(run(body, kInputs),
              (std::vector<uint64_t>{kPattern[0], kPattern[1] & kMinus1, kPattern[2], kPattern[3]}));
  }
}

TEST_F(OpcodeMemory, AddressesBecomeGenericOnesAndBack) {
  for (const std::string space : {"global", "const", "param", "local", "shared"}) {
    SCOPED_TRACE(space);
    const Place place(Spelling("ld." + space + ".b64"));
    const std::string body =
        place.setup + place.all("fill") + "cvta." + space + ".u64 %d5, %d7;\nld.b64 %d1, [%d5+8];\ncvta.to." +
        space + ".u64 %d6, %d5;\nld" + place.space +
        ".b64 %d2, [%d6+16];\nst.global.b64 [%out], %d1;\nst.global.b64 [%out+8], %d2;\n";
    const std::vector<uint64_t> words = run(body, kInputs);
    ASSERT_EQ(words[0], kPattern[1]);
    ASSERT_EQ(words[1], kPattern[2]);
  }
}

}  // namespace
}  // namespace prospect::emulator
