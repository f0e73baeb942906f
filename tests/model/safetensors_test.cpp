#include "model/safetensors.h"

#include <cmath>
#include <cstring>

#include "model/float16.h"
#include "tests/support/errors.h"
#include "tests/support/temporary_folder.h"

namespace prospect {
namespace {

std::string file_of(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + header +
         std::string(data_bytes, '\0');
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape, int begin,
                  int end) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", name, dtype, shape, begin,
                     end);
}

testing::AssertionResult refuses_bytes(const std::string& bytes, const std::string& words) {
  const test::TemporaryFolder folder;
  const std::string path = folder.write("x.safetensors", bytes);
  return test::fails(ExitCode::BadData, "x.safetensors: " + words, [&] { SafetensorsFile{path}; });
}
testing::AssertionResult refuses(const std::string& entries, size_t data_bytes, const std::string& words) {
  return refuses_bytes(file_of("{" + entries + "}", data_bytes), words);
}

TensorSource filled(const std::string& name, const Shape& shape, float value) {
  const int64_t columns = shape.empty() ? 1 : element_count(shape) / shape[0];
  return {name, StoredType::F32, shape, [=](int64_t begin, int64_t end, std::byte* out) {
            const std::vector<float> values(static_cast<size_t>((end - begin) * columns), value);
            std::memcpy(out, values.data(), values.size() * sizeof(float));
          }};
}

TEST(Safetensors, ReadsScalarsEmptyTensorsAndNan) {
  const test::TemporaryFolder folder;
  const std::string header = "{\"__metadata__\":{\"format\":\"pt\"}," + entry("s", "F32", "[]", 0, 4) + "," +
                             entry("e", "F16", "[0,5]", 4, 4) + "," + entry("n", "F32", "[1]", 4, 8) + "}  ";
  std::string bytes = file_of(header, 8);
  const float nan = std::nanf("");
  std::memcpy(bytes.data() + bytes.size() - 4, &nan, 4);
  const SafetensorsFile file(folder.write("x.safetensors", bytes));
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.find("s")->shape, Shape{});
  EXPECT_EQ(file.find("e")->bytes.size(), 0u);
  float value = 0;
  decode<float>(*file.find("n"), 0, std::span(&value, 1));
  EXPECT_TRUE(std::isnan(value));
  EXPECT_EQ(file.find("absent"), nullptr);
}

TEST(Safetensors, RefusesHeadersThatAreNotSound) {
  EXPECT_TRUE(refuses_bytes("", "0 bytes are too few"));
  EXPECT_TRUE(refuses_bytes("1234567", "7 bytes are too few"));
  EXPECT_TRUE(refuses_bytes(std::string(8, '\xff'), "a header of 18446744073709551615 bytes does not fit"));
  EXPECT_TRUE(refuses_bytes(std::string("\x10\0\0\0\0\0\0\0{}", 10), "a header of 16 bytes does not fit"));
  EXPECT_TRUE(refuses_bytes(file_of("", 0), "the header must begin with {"));
  EXPECT_TRUE(refuses_bytes(file_of(" {}", 0), "the header must begin with {"));
  EXPECT_TRUE(refuses_bytes(file_of("{\"a\":", 0), "not valid JSON"));
  EXPECT_TRUE(refuses_bytes(file_of("{\"\xff\":1}", 0), "not valid JSON"));
  EXPECT_TRUE(refuses_bytes(file_of("{\"a\":" + std::string(100000, '['), 0), "nested more than"));
  EXPECT_TRUE(refuses("\"__metadata__\":{\"a\":1}", 0, "__metadata__ must map strings to strings"));
  EXPECT_TRUE(refuses("\"a\":[]", 0, "a: no dtype"));
  EXPECT_TRUE(refuses("\"a\":{\"dtype\":\"F32\",\"shape\":[1]}", 0, "a: no data_offsets"));
}

TEST(Safetensors, RefusesTensorsThatAreNotSound) {
  EXPECT_TRUE(refuses(entry("a", "F33", "[1]", 0, 4), 4, "a: unknown dtype \"F33\""));
  EXPECT_TRUE(refuses(entry("a", "F32", "[1]", 0, 4) + "," + entry("a", "F32", "[1]", 4, 8), 8,
                      "\"a\": this key stands twice"));
  EXPECT_TRUE(
      refuses(entry("a", "F32", "[-1]", 0, 4), 4, "a: shape must hold integers that are not negative"));
  EXPECT_TRUE(refuses(entry("a", "F32", "[1.5]", 0, 4), 4, "a: shape must hold integers"));
  EXPECT_TRUE(refuses(entry("a", "F32", "[4294967296,4294967296]", 0, 4), 4, "a: the size of its shape"));
  EXPECT_TRUE(refuses(entry("a", "F32", "[0,18446744073709551615]", 0, 0), 0, "a: the size of its shape"));
  EXPECT_TRUE(refuses(entry("a", "F32", "[2]", 0, 4), 4, "a: F32 [2] needs 64 bits, data_offsets hold 4"));
  EXPECT_TRUE(refuses(entry("a", "F32", "[1]", 0, 8), 4, "a: data_offsets [0, 8) lie outside the 4 bytes"));
  EXPECT_TRUE(refuses(entry("a", "F32", "[1]", 4, 0), 4, "a: data_offsets [4, 0) lie outside"));
  EXPECT_TRUE(refuses(entry("a", "F4", "[1]", 0, 0), 0, "a: F4 [1] needs 4 bits"));
}

TEST(Safetensors, RefusesGapsOverlapsAndLeftOvers) {
  const std::string first = entry("a", "F32", "[1]", 0, 4);
  EXPECT_TRUE(refuses(first + "," + entry("b", "F32", "[1]", 8, 12), 12, "b: begins at byte 8"));
  EXPECT_TRUE(refuses(first + "," + entry("b", "F32", "[1]", 2, 6), 6, "b: begins at byte 2"));
  EXPECT_TRUE(refuses(first + "," + entry("b", "F32", "[1]", 0, 4), 4, "b: begins at byte 0"));
  EXPECT_TRUE(refuses(entry("b", "F32", "[1]", 4, 8), 8, "b: begins at byte 4"));
  EXPECT_TRUE(refuses(first, 5, "the tensors end at byte 4 of the data, the file has 5"));
}

TEST(Safetensors, WritesWideTypesFirstInAHeaderOfWholeWords) {
  const test::TemporaryFolder folder;
  TensorSource half = filled("a", {3}, 0);
  half.type = StoredType::F16;
  half.rows = [](int64_t begin, int64_t end, std::byte* out) {
    std::fill_n(out, 2 * (end - begin), std::byte{1});
  };
  write_safetensors({}, folder.path() / "x.safetensors",
                    {half, filled("z", {2, 3}, 1.5f), filled("s", {}, 2)}, {});
  const SafetensorsFile file(folder.path() / "x.safetensors");
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.tensors()[0].name, "s");
  EXPECT_EQ(file.tensors()[2].name, "a");
  EXPECT_EQ(file.tensors()[1].shape, (Shape{2, 3}));
  std::vector<float> values(6);
  decode<float>(file.tensors()[1], 0, values);
  EXPECT_EQ(values, std::vector<float>(6, 1.5f));
  uint64_t length = 0;
  std::memcpy(&length, test::read_file(folder.path() / "x.safetensors").data(), sizeof(length));
  EXPECT_EQ(length % 8, 0u);
}

TEST(Safetensors, ShardsBeyondTheLimitAndReadsThemAgain) {
  const test::TemporaryFolder folder;
  // 400 bytes, 40 and 40: the first is larger than a shard and gets one of its own.
  write_safetensors_folder({}, folder.path(),
                           {filled("a", {100}, 1), filled("b", {10}, 2), filled("c", {10}, 3)}, 100);
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "model-00002-of-00002.safetensors"));
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "model.safetensors"));
  const auto files = open_safetensors_folder(folder.path());
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[1].tensors().size(), 2u);
  EXPECT_NE(test::read_file(folder.path() / "model.safetensors.index.json").find("\"total_size\": 480"),
            std::string::npos);
  EXPECT_TRUE(test::fails(ExitCode::IoFailure, "model.safetensors.index.json: stands where",
                          [&] { write_safetensors_folder({}, folder.path(), {filled("a", {1}, 1)}); }));
}

TEST(Safetensors, RefusesAnIndexThatDoesNotFitItsShards) {
  const auto refuses_index = [](const std::string& map, const std::string& words) {
    const test::TemporaryFolder folder;
    write_safetensors({}, folder.path() / "one.safetensors", {filled("a", {1}, 1), filled("b", {1}, 1)}, {});
    folder.write("model.safetensors.index.json", "{\"weight_map\":" + map + "}");
    return test::fails(ExitCode::BadData, words, [&] { open_safetensors_folder(folder.path()); });
  };
  EXPECT_FALSE(refuses_index(R"({"a":"one.safetensors","b":"one.safetensors"})", ""));
  EXPECT_TRUE(refuses_index(R"({"a":"one.safetensors"})", "b: not in the index"));
  EXPECT_TRUE(
      refuses_index(R"({"a":"one.safetensors","c":"one.safetensors"})", "c: is not in one.safetensors"));
  EXPECT_TRUE(refuses_index(R"({"a":"../one.safetensors"})", "is not the name of a .safetensors file"));
  EXPECT_TRUE(refuses_index(R"({"a":"/etc/passwd"})", "is not the name of a .safetensors file"));
  EXPECT_TRUE(refuses_index(R"({"a":1})", "its file must be a string"));
  EXPECT_TRUE(refuses_index(R"({})", "weight_map must map"));
  EXPECT_TRUE(refuses_index(R"([])", "weight_map must map"));
}

TEST(Safetensors, RefusesAShardThatIsALinkOutOfTheFolder) {
  namespace fs = std::filesystem;
  const test::TemporaryFolder folder;
  const fs::path inside = folder.path() / "repository/snapshots/1",
                 blobs = folder.path() / "repository/blobs";
  fs::create_directories(inside);
  fs::create_directories(blobs);
  const std::vector<TensorSource> tensors{filled("a", {1}, 1)};
  write_safetensors({}, folder.path() / "secret", tensors, {});
  write_safetensors({}, blobs / "0123", tensors, {});
  write_safetensors({}, inside / "own", tensors, {});
  folder.write("repository/snapshots/1/model.safetensors.index.json",
               R"({"weight_map":{"a":"1.safetensors"}})");
  for (const char* target : {"own", "../../blobs/0123"}) {
    fs::remove(inside / "1.safetensors");
    fs::create_symlink(target, inside / "1.safetensors");
    EXPECT_EQ(open_safetensors_folder(inside).size(), 1u) << target;
  }
  for (const fs::path& target : {fs::path("../../../secret"), folder.path() / "secret"}) {
    fs::remove(inside / "1.safetensors");
    fs::create_symlink(target, inside / "1.safetensors");
    EXPECT_TRUE(test::fails(ExitCode::BadData, "1.safetensors is a link that leads out of this folder",
                            [&] { open_safetensors_folder(inside); }));
  }
}

TEST(Float16, RoundTripsEveryHalfExactly) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const int exponent = (half >> 10) & 31, mantissa = half & 1023;
    const float value = half_to_float(half);
    if (exponent == 31) {
      ASSERT_TRUE(mantissa == 0 ? std::isinf(value) : std::isnan(value));
    } else {
      const double magnitude =
          exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
      ASSERT_EQ(value, (half & 0x8000) != 0 ? -magnitude : magnitude);
    }
    ASSERT_EQ(std::signbit(value), (half & 0x8000) != 0);
    if (exponent != 31 || mantissa == 0) {
      ASSERT_EQ(float_to_half(value), half);
    }
  }
}

TEST(Float16, RoundsToNearestWithTiesToEven) {
  for (uint16_t half = 0; half < 0x7c00; ++half) {
    const float low = half_to_float(half);
    const float high = half == 0x7bff ? 65536.0f : half_to_float(static_cast<uint16_t>(half + 1));
    const float middle = (low + high) / 2;  // exact: one bit more than a half has
    const auto next = static_cast<uint16_t>(half + 1);
    ASSERT_EQ(float_to_half(middle), half % 2 == 0 ? half : next) << half;
    ASSERT_EQ(float_to_half(std::nextafter(middle, 0.0f)), half);
    ASSERT_EQ(float_to_half(std::nextafter(middle, 1e6f)), next);
  }
  EXPECT_EQ(float_to_half(1e6f), 0x7c00);
  EXPECT_TRUE(std::isnan(half_to_float(float_to_half(std::nanf("")))));
}

}  // namespace
}  // namespace prospect
