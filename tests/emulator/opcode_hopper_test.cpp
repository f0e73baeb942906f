// Barriers in shared memory, clusters, the asynchronous engine and wgmma, in every spelling that the table
// has.
#include <gmock/gmock.h>

#include <cstring>

#include "kernels/common/bf16.h"
#include "tests/emulator/opcode_cases.h"
#include "tests/emulator/tensor_map.h"

namespace prospect::emulator {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

/// The spellings whose name is `name` and nothing but orders, scopes and spaces behind it.
std::vector<std::string> forms(const std::string& name) {
  std::vector<std::string> found;
  for (const std::string& text : spellings({name})) {
    const std::string rest = text.substr(name.size());
    if (rest.starts_with(".expect_tx") || rest.starts_with("_drop") || rest.starts_with(".parity")) continue;
    found.push_back(text);
  }
  return found;
}

// --- mbarrier: one thread, a barrier at `dynamic`. Generic addresses where the spelling names no space.

std::string place(const std::string& spelling) {
  return spelling.find("shared") == std::string::npos ? "[%d6]" : "[%d7]";
}
constexpr const char* kBegin = "mov.u64 %d7, dynamic;\ncvta.shared.u64 %d6, %d7;\n";
std::string init(int arrivals) {
  return fmt::format("{}mbarrier.init.shared::cta.b64 [%d7], {};\n", kBegin, arrivals);
}
/// Appends whether the phase of that parity is complete.
std::string look(int word, int parity) {
  return fmt::format(
      "mbarrier.test_wait.parity.shared::cta.b64 %p0, [%d7], {};\nselp.b64 %d0, 1, 0, %p0;\nst.global.b64 "
      "[%out+{}], %d0;\n",
      parity, 8 * word);
}
class OpcodeHopper : public testing::Test {
 protected:
  /// One thread.
  std::vector<uint64_t> run(const std::string& body, size_t words,
                            const std::vector<uint64_t>& inputs = {0}) {
    return run(body, std::vector<uint64_t>(words), inputs);
  }
  std::vector<uint64_t> run(const std::string& body, const std::vector<uint64_t>& words,
                            const std::vector<uint64_t>& inputs) {
    return harness_.run(body, words, inputs, 1, 1, 1024);
  }

  PtxHarness harness_;
};

TEST_F(OpcodeHopper, BarriersBeginAndEnd) {
  for (const std::string& begin : forms("mbarrier.init")) {
    for (const std::string& end : forms("mbarrier.inval")) {
      const std::string once = fmt::format("{} {}, 1;\n{} {};\n", begin, place(begin), end, place(end));
      EXPECT_THAT(run(kBegin + once + once + init(1) + look(0, 0), 1), ElementsAre(0)) << begin << " " << end;
    }
  }
}

TEST_F(OpcodeHopper, ArrivalsCompleteAPhase) {
  for (const std::string& text : forms("mbarrier.arrive")) {
    const std::string at = place(text);
    const std::string body = init(4) + fmt::format("{} %d1, {};\n{} _, {}, 2;\n", text, at, text, at) +
                             look(0, 0) + fmt::format("{} _, {};\n", text, at) + look(1, 0) +
                             "mbarrier.test_wait.shared::cta.b64 %p0, [%d7], %d1;\nselp.b64 %d0, 1, 0, "
                             "%p0;\nst.global.b64 [%out+16], %d0;";
    EXPECT_THAT(run(body, 3), ElementsAre(0, 1, 1)) << text;
  }
}

TEST_F(OpcodeHopper, WhoDropsOutIsExpectedNoMore) {
  for (const std::string& text : spellings({"mbarrier.arrive_drop"})) {
    const std::string arrive = "mbarrier.arrive.shared::cta.b64 _, [%d7];\n";
    const std::string body =
        init(3) + fmt::format("{} %d1, {};\n{} _, {}, 1;\n", text, place(text), text, place(text)) +
        look(0, 0) + arrive + look(1, 0) + arrive + look(2, 1);
    EXPECT_THAT(run(body, 3), ElementsAre(0, 1, 1)) << text;
  }
}

TEST_F(OpcodeHopper, PhasesAwaitTheBytesThatAreAnnounced) {
  const auto body = [](const std::string& expect, const std::string& complete) {
    return init(1) + expect + look(0, 0) + complete + " " + place(complete) + ", 16;\n" + look(1, 0);
  };
  const std::string complete = "mbarrier.complete_tx.relaxed.cta.shared::cta.b64";
  for (const std::string& text : spellings({"mbarrier.arrive.expect_tx"})) {
    EXPECT_THAT(run(body(text + " _, " + place(text) + ", 16;\n", complete), 2), ElementsAre(0, 1)) << text;
  }
  const std::string arrive = "mbarrier.arrive.shared::cta.b64 _, [%d7];\n";
  for (const std::string& text : spellings({"mbarrier.expect_tx"})) {
    EXPECT_THAT(run(body(text + " " + place(text) + ", 16;\n" + arrive, complete), 2), ElementsAre(0, 1))
        << text;
  }
  for (const std::string& text : spellings({"mbarrier.complete_tx"})) {
    EXPECT_THAT(run(body("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%d7], 16;\n", text), 2),
                ElementsAre(0, 1))
        << text;
  }
}

TEST_F(OpcodeHopper, WaitsSeeThatAPhaseIsComplete) {
  for (const std::string name : {"mbarrier.test_wait", "mbarrier.try_wait"}) {
    for (const std::string& text : spellings({name})) {
      const std::string which = text.find("parity") == std::string::npos ? "%d1" : "0";
      for (const char* time : {"", ", 100"}) {
        if (name == "mbarrier.test_wait" && *time != 0) continue;
        const std::string wait = fmt::format("{} %p0, {}, {}{};\n", text, place(text), which, time);
        const std::string body = init(1) + "mbarrier.arrive.shared::cta.b64 %d1, [%d7];\n" + wait +
                                 "selp.b64 %d0, 1, 0, %p0;\nst.global.b64 [%out], %d0;";
        EXPECT_THAT(run(body, 1), ElementsAre(1)) << wait;
      }
    }
  }
}

// --- Clusters of two blocks of one thread.

class OpcodeCluster : public testing::Test {
 protected:
  OpcodeCluster() { harness_.cluster = 2; }
  std::vector<uint64_t> run_cluster(const std::string& body) {
    return harness_.run(
        "mov.u32 %w1, %cluster_ctarank;\nxor.b32 %w2, %w1, 1;\nmul.wide.u32 %d6, %w1, 8;\nadd.u64 %d6, "
        "%d6, %out;\nmov.u32 %w3, dynamic;\nadd.u32 %w4, %w1, 10;\nst.shared.u32 [%w3], %w4;\n" +
            body,
        {0, 0}, {0}, 1, 2, 16);
  }

 private:
  PtxHarness harness_;
};

TEST_F(OpcodeCluster, BlocksOfAClusterReachEachOther) {
  const std::string first_arrive = "barrier.cluster.arrive", first_wait = "barrier.cluster.wait";
  const auto body = [](const std::string& arrive, const std::string& wait, const std::string& address,
                       const std::string& from) {
    const std::string meet = arrive + ";\n" + wait + ";\n";
    return meet + address + "ld." + from + " %w0, [%" + (from[0] == 'u' ? "d1" : "w5") +
           "];\nst.global.u32 [%d6], %w0;\n" + meet;
  };
  const std::string map = "mapa.shared::cluster.u32 %w5, %w3, %w2;\n";
  for (const std::string& text : spellings({"barrier.cluster.arrive"})) {
    EXPECT_THAT(run_cluster(body(text, first_wait, map, "shared::cluster.u32")), ElementsAre(11, 10)) << text;
  }
  for (const std::string& text : spellings({"barrier.cluster.wait"})) {
    EXPECT_THAT(run_cluster(body(first_arrive, text, map, "shared::cluster.u32")), ElementsAre(11, 10))
        << text;
  }
  EXPECT_THAT(run_cluster(body(first_arrive, first_wait, "mapa.u32 %w5, %w3, %w2;\n", "shared::cluster.u32")),
              ElementsAre(11, 10));
  EXPECT_THAT(
      run_cluster(body(first_arrive, first_wait,
                       "cvt.u64.u32 %d2, %w3;\ncvta.shared.u64 %d2, %d2;\nmapa.u64 %d1, %d2, %w2;\n", "u32")),
      ElementsAre(11, 10));
}

TEST_F(OpcodeCluster, AddressesTellTheirBlock) {
  EXPECT_THAT(run_cluster("mapa.shared::cluster.u32 %w5, %w3, %w2;\ngetctarank.shared::cluster.u32 %w0, "
                          "%w5;\nst.global.u32 [%d6], %w0;"),
              ElementsAre(1, 0));
  EXPECT_THAT(run_cluster("cvt.u64.u32 %d2, %w3;\ncvta.shared.u64 %d2, %d2;\nmapa.u64 %d1, %d2, "
                          "%w2;\ngetctarank.u64 %w0, %d1;\nst.global.u32 [%d6], %w0;"),
              ElementsAre(1, 0));
}

// --- The asynchronous engine: 32 bytes at `dynamic`, a barrier 512 bytes behind.

constexpr const char* kEngine =
    "mov.u64 %d7, dynamic;\nadd.u64 %d5, %d7, 512;\nmbarrier.init.shared::cta.b64 [%d5], "
    "1;\nfence.mbarrier_init.release.cluster;\n";
const std::vector<uint64_t> kData = {0x3f8000003f800000, 0x4000000040400000, 0x0000000100000002,
                                     0x4008000000000000};

std::string put(const char* from) {
  std::string text;
  for (int i = 0; i < 4; ++i)
    text += fmt::format("ld.global.b64 %d0, [{}+{}];\nst.shared.b64 [%d7+{}], %d0;\n", from, 8 * i, 8 * i);
  return text + "fence.proxy.async;\n";
}
std::string show(int bytes, const char* from = "%d7", const char* space = "shared") {
  std::string text;
  for (int i = 0; i < bytes / 8; ++i)
    text +=
        fmt::format("ld.{}.b64 %d0, [{}+{}];\nst.global.b64 [%out+{}], %d0;\n", space, from, 8 * i, 8 * i);
  return text;
}
std::string expecting(int bytes) {
  return fmt::format("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%d5], {};\n", bytes);
}
constexpr const char* kAwait =
    "AGAIN:\nmbarrier.try_wait.parity.shared::cta.b64 %p0, [%d5], 0;\n@!%p0 bra AGAIN;\n";
constexpr const char* kFinish = "cp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;\n";

/// The last operands that a spelling asks for: blocks of a cluster, a cache policy.
std::string tail(const std::string& spelling) {
  return std::string(spelling.find(".multicast") == std::string::npos ? "" : ", %h1") +
         (spelling.find("cache_hint") == std::string::npos ? "" : ", %d4");
}
constexpr const char* kTail = "mov.u16 %h1, 1;\ncreatepolicy.fractional.L2::evict_first.b64 %d4, 1.0;\n";

TEST_F(OpcodeHopper, BulkLoads) {
  for (const std::string& text : spellings({"cp.async.bulk.shared"})) {
    const bool from_shared = text.find("global") == std::string::npos;
    const std::string body = std::string(kEngine) + kTail +
                             (from_shared ? put("%in") + "add.u64 %d3, %d7, 256;\n" : "mov.u64 %d3, %d7;\n") +
                             expecting(32) + text + " [%d3], [" + (from_shared ? "%d7" : "%in") +
                             "], 32, [%d5]" + tail(text) + ";\n" + kAwait + show(32, "%d3");
    EXPECT_EQ(run(body, 4, kData), kData) << text;
  }
}

TEST_F(OpcodeHopper, BulkStores) {
  for (const std::string& text : spellings({"cp.async.bulk.global.shared::cta"})) {
    const std::string body = std::string(kEngine) + kTail + put("%in") + text + " [%out], [%d7], 32" +
                             tail(text) + ";\n" + kFinish;
    EXPECT_EQ(run(body, 4, kData), kData) << text;
  }
  const std::string read =
      std::string(kEngine) + put("%in") +
      "cp.async.bulk.global.shared::cta.bulk_group [%out], [%d7], 32;\ncp.async.bulk.commit_group;\n" +
      "cp.async.bulk.wait_group.read 0;\nst.shared.b64 [%d7], %d5;\n";
  EXPECT_EQ(run(read, 4, kData), kData);
}

template <class T, class Add>
std::vector<uint64_t> sums(const std::vector<uint64_t>& a, const std::vector<uint64_t>& b, const Add& add) {
  std::vector<uint64_t> result = a;
  for (size_t i = 0; i < 8 * a.size() / sizeof(T); ++i) {
    T x, y;
    std::memcpy(&x, reinterpret_cast<const T*>(a.data()) + i, sizeof(T));
    std::memcpy(&y, reinterpret_cast<const T*>(b.data()) + i, sizeof(T));
    x = add(x, y);
    std::memcpy(reinterpret_cast<T*>(result.data()) + i, &x, sizeof(T));
  }
  return result;
}

TEST_F(OpcodeHopper, BulkAdditions) {
  const auto plain = [](auto x, auto y) { return x + y; };
  const std::vector<uint64_t> before = {0x4000000040000000, 0x3f8000003f800000, 5, 0x3ff0000000000000};
  for (const std::string& text : spellings({"cp.reduce.async.bulk.global"})) {
    const auto expected =
        text.ends_with("f32")   ? sums<float>(before, kData, plain)
        : text.ends_with("f64") ? sums<double>(before, kData, plain)
        : text.ends_with("bf16")
            ? sums<bf16>(before, kData, [](bf16 x, bf16 y) { return bf16(load(x) + load(y)); })
        : text.ends_with("u64") ? sums<uint64_t>(before, kData, plain)
                                : sums<uint32_t>(before, kData, plain);
    const std::string body = std::string(kEngine) + kTail + put("%in") + text + " [%out], [%d7], 32" +
                             tail(text) + ";\n" + kFinish;
    EXPECT_EQ(run(body, before, kData), expected) << text;
  }
}

TEST_F(OpcodeHopper, PoliciesAndPrefetchesChangeNoValue) {
  std::string body =
      std::string(kEngine) + "cp.async.bulk.prefetch.L2.global [%in], 32;\nprefetch.tensormap [%in];\n";
  for (const std::string& text : spellings({"createpolicy"}))
    body += text + " %d4;\n" + text + " %d4, 1.0;\n";
  EXPECT_EQ(run(body + show(32, "%in", "global"), 4, kData), kData);
}

// Tensors of words [2, 2, .., 8] whose element i is i; boxes of four along a row, at (4, 1, 1, ..).

constexpr size_t kMapWords = 16;

std::vector<uint64_t> tensor(int rank) {
  TensorMap map;
  map.rank = static_cast<uint8_t>(rank);
  map.element = Element::Unsigned32;
  uint64_t stride = 4;
  for (size_t dimension = 0; dimension < static_cast<size_t>(rank); ++dimension) {
    map.size[dimension] = dimension == 0 ? 8 : 2;
    map.box[dimension] = dimension == 0 ? 4 : 1;
    map.stride[dimension] = stride;
    stride *= map.size[dimension];
  }
  std::vector<uint64_t> words(kMapWords + stride / 8);
  std::memcpy(words.data(), &map, sizeof(map));
  for (uint32_t i = 0; i < stride / 4; ++i)
    std::memcpy(reinterpret_cast<char*>(words.data() + kMapWords) + 4 * i, &i, 4);
  return words;
}
/// Lets the map's base point behind the map.
constexpr const char* kMap = "add.u64 %d3, %in, 128;\nst.global.b64 [%in+8], %d3;\n";
static_assert(offsetof(TensorMap, base) == 8);
std::string box(int rank) {
  std::string text = "[%in, {4";
  for (int dimension = 1; dimension < rank; ++dimension) text += ", 1";
  return text + "}]";
}
int first_of_box(int rank) {
  int first = 4;
  for (int dimension = 1; dimension < rank; ++dimension) first += 4 << dimension;
  return first;
}
uint64_t two(int first) {
  return static_cast<uint64_t>(first) | static_cast<uint64_t>(first + 1) << 32;
}

TEST_F(OpcodeHopper, BoxesAreLoaded) {
  for (int rank = 1; rank <= 5; ++rank) {
    for (const std::string to : {"shared::cta", "shared::cluster"}) {
      for (const std::string& text :
           spellings({fmt::format("cp.async.bulk.tensor.{}d.{}.global", rank, to)})) {
        const std::string body = std::string(kEngine) + kTail + kMap + expecting(16) + text + " [%d7], " +
                                 box(rank) + ", [%d5]" + tail(text) + ";\n" + kAwait + show(16);
        EXPECT_THAT(run(body, 2, tensor(rank)),
                    ElementsAre(two(first_of_box(rank)), two(first_of_box(rank) + 2)))
            << text;
      }
    }
  }
}

TEST_F(OpcodeHopper, BoxesAreStoredAndAdded) {
  const std::vector<uint64_t> box_words = {two(100), two(102)};
  for (int rank = 1; rank <= 5; ++rank) {
    const auto begin = fmt::format("async.bulk.tensor.{}d.global", rank);
    for (const bool adds : {false, true}) {
      for (const std::string& text : spellings({(adds ? "cp.reduce." : "cp.") + begin})) {
        const int first = first_of_box(rank);
        const std::string body =
            std::string(kEngine) + kTail + kMap +
            fmt::format("mov.u64 %d1, {};\nmov.u64 %d2, {};\n", two(100), two(102)) +
            "st.shared.b64 [%d7], %d1;\nst.shared.b64 [%d7+8], %d2;\nfence.proxy.async;\n" + text + " " +
            box(rank) + ", [%d7]" + tail(text) + ";\n" + kFinish +
            fmt::format("add.u64 %d3, %d3, {};\n", 4 * first - 16) + show(48, "%d3", "global");
        std::vector<uint64_t> inputs = tensor(rank);
        inputs.resize(inputs.size() + 2);  // what is shown may end behind the tensor
        const int base = adds ? first : 0;
        const std::vector<uint64_t> words = run(body, 6, inputs);
        EXPECT_EQ(words[1], two(first - 2)) << text;
        EXPECT_EQ(words[2], two(100) + (adds ? two(base) : 0)) << text;
        EXPECT_EQ(words[3], two(102) + (adds ? two(base + 2) : 0)) << text;
      }
    }
  }
}

TEST_F(OpcodeHopper, PrefetchesOfBoxesChangeNoTensor) {
  for (int rank = 1; rank <= 5; ++rank) {
    const std::vector<uint64_t> inputs = tensor(rank), elements(inputs.begin() + kMapWords, inputs.end());
    for (const std::string& text : spellings({fmt::format("cp.async.bulk.prefetch.tensor.{}d", rank)})) {
      const std::string body = std::string(kEngine) + kMap + text + " " + box(rank) + ";\n" +
                               show(static_cast<int>(8 * elements.size()), "%d3", "global");
      EXPECT_EQ(run(body, elements.size(), inputs), elements) << text;
    }
  }
}

// --- wgmma: shared memory and registers full of ones, so that every sum is the number of its terms.

std::string accumulators(int columns) {
  std::string text = "{";
  for (int i = 0; i < columns / 2; ++i) text += fmt::format("{}%acc{}", i == 0 ? "" : ", ", i);
  return text + "}";
}

TEST_F(OpcodeHopper, ProductsOfAllWidths) {
  constexpr uint32_t kShared = 16 << 10, kThreads = 128;
  std::string fill =
      ".reg .b32 %acc<128>;\nmov.u32 %w1, %tid.x;\nmul.wide.u32 %d6, %w1, 16;\nadd.u64 %d7, %out, "
      "%d6;\nmov.u32 %w2, dynamic;\nshl.b32 %w3, %w1, 7;\nadd.u32 %w3, %w3, %w2;\nmov.u32 %w4, 0x3f803f80;\n";
  for (int i = 0; i < 8; ++i)
    fill += fmt::format("st.shared.v4.b32 [%w3+{}], {{%w4, %w4, %w4, %w4}};\n", 16 * i);
  // Rows of 16 bytes in groups of eight: 128 bytes from group to group along both dimensions.
  fill +=
      "fence.proxy.async.shared::cta;\nbar.sync 0;\nshr.u32 %w5, %w2, 4;\ncvt.u64.u32 %d1, %w5;\nor.b64 %d1, "
      "%d1, 0x800080000;\nsetp.ne.b32 %p1, %w4, 0;\nsetp.eq.b32 %p2, %w4, 0;\nwgmma.fence.sync.aligned;\n";
  for (int columns = 8; columns <= 256; columns += 8) {
    const std::string name = fmt::format("wgmma.mma_async.sync.aligned.m64n{}k16.f32.bf16.bf16 {}, ", columns,
                                         accumulators(columns));
    const std::string body =
        fill + name + "%d1, %d1, %p2, 1, 1, 0, 0;\n" + name + "{%w4, %w4, %w4, %w4}, %d1, %p1, 1, 1, 0;\n" +
        "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n" +
        fmt::format("st.global.b32 [%d7], %acc0;\nst.global.b32 [%d7+8], %acc{};\n", columns / 2 - 1);
    EXPECT_THAT(harness_.run(body, std::vector<uint64_t>(2 * kThreads), {0}, kThreads, 1, kShared),
                Each(f(32)))
        << columns;
  }
}

}  // namespace
}  // namespace prospect::emulator
