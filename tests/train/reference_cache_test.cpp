#include "train/reference_cache.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/errors.h"
#include "tests/support/temporary_folder.h"

namespace prospect::test {
namespace {

namespace fs = std::filesystem;

const Hash128 kIdentity{1, 2};
const Device kCpu = Device::cpu();

/// Sequences of 1, 2, ... tokens; none of their values is another's.
constexpr int kSequences = 3;
Hash128 key(int sequence) {
  return {static_cast<uint64_t>(sequence), 77};
}
Tensor values(int sequence) {
  std::vector<float> list;
  for (int token = 0; token <= sequence; ++token)
    list.push_back(-1.0f * static_cast<float>(sequence) - 0.1f * static_cast<float>(token));
  return Tensor::from(list, kCpu);
}

struct Cache : ReferenceCache {
  std::shared_ptr<std::vector<std::string>> warnings;

  explicit Cache(const fs::path& folder, const Hash128& identity = kIdentity, DType dtype = DType::F32,
                 int64_t limit_bytes = 0)
      : Cache(std::make_shared<std::vector<std::string>>(), folder, identity, dtype, limit_bytes) {}

 private:
  Cache(std::shared_ptr<std::vector<std::string>> list, const fs::path& folder, const Hash128& identity,
        DType dtype, int64_t limit_bytes)
      : ReferenceCache({.folder = folder,
                        .identity = identity,
                        .dtype = dtype,
                        .limit_bytes = limit_bytes,
                        .warn = [list](const std::string& text) { list->push_back(text); }}),
        warnings(list) {}
};

void fill(const fs::path& folder, int first = 0, int last = kSequences) {
  Cache cache(folder);
  cache.prepare();
  for (int s = first; s < last; ++s) cache.add(key(s), values(s));
  cache.flush();
  EXPECT_TRUE(cache.kept());
}

bool equals(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && to_doubles(a) == to_doubles(b);
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder)) paths.push_back(entry.path());
  return paths;
}

fs::path only_file(const fs::path& folder) {
  const auto paths = files_in(folder);
  EXPECT_EQ(paths.size(), 1u);
  return paths.front();
}

TEST(ReferenceCache, FindsWhatAnotherRunAdded) {
  const TemporaryFolder folder;
  fill(folder / "cache");
  Cache cache(folder / "cache");
  for (int s = 0; s < kSequences; ++s) {
    ASSERT_TRUE(cache.contains(key(s)));
    EXPECT_TRUE(equals(cache.find(key(s), kCpu), values(s)));
  }
  EXPECT_FALSE(cache.contains(key(kSequences)));
}

TEST(ReferenceCache, FindsWhatWasAddedBeforeAndAfterItIsInAFile) {
  const TemporaryFolder folder;
  Cache cache(folder / "cache");
  cache.prepare();
  cache.add(key(1), values(1));
  EXPECT_TRUE(equals(cache.find(key(1), kCpu), values(1)));
  cache.flush();
  EXPECT_TRUE(equals(cache.find(key(1), kCpu), values(1)));
  cache.add(key(2), values(2));
  cache.flush();
  EXPECT_TRUE(equals(cache.find(key(2), kCpu), values(2)));
  EXPECT_EQ(files_in(folder / "cache").size(), 2u);
}

TEST(ReferenceCache, LeavesOneFileOfWhatItWroteInPieces) {
  const TemporaryFolder folder;
  fill(folder / "cache", 0, 1);  // another run's
  Cache cache(folder / "cache");
  for (int s = 1; s < kSequences; ++s) {
    cache.add(key(s), values(s));
    cache.flush();
  }
  EXPECT_EQ(files_in(folder / "cache").size(), static_cast<size_t>(kSequences));
  cache.merge();
  EXPECT_EQ(files_in(folder / "cache").size(), 2u);
  Cache next(folder / "cache");
  for (int s = 0; s < kSequences; ++s) {
    ASSERT_TRUE(next.contains(key(s)));
    EXPECT_TRUE(equals(next.find(key(s), kCpu), values(s)));
    ASSERT_TRUE(cache.contains(key(s)));
    EXPECT_TRUE(equals(cache.find(key(s), kCpu), values(s)));
  }
}

TEST(ReferenceCache, WritesNothingBeforeThereIsSomethingToKeep) {
  const TemporaryFolder folder;
  Cache cache(folder / "cache");
  EXPECT_FALSE(cache.contains(key(0)));
  cache.flush();
  cache.trim();
  EXPECT_FALSE(fs::exists(folder / "cache"));
}

TEST(ReferenceCache, HasNothingForAnotherIdentityOrType) {
  const TemporaryFolder folder;
  fill(folder / "cache");
  EXPECT_FALSE(Cache(folder / "cache", {1, 3}).contains(key(0)));
  Cache wider(folder / "cache", kIdentity, DType::F64);
  EXPECT_FALSE(wider.contains(key(0)));
}

TEST(ReferenceCache, TakesNoFileOfAnotherIdentityUnderItsName) {
  const TemporaryFolder folder;
  fill(folder / "cache");
  const fs::path path = only_file(folder / "cache");
  std::string name = path.filename().string();
  const Hash128 other{8, 9};
  name.replace(name.find(kIdentity.hex()), 32, other.hex());
  fs::rename(path, path.parent_path() / name);
  Cache cache(folder / "cache", other);
  EXPECT_FALSE(cache.contains(key(0)));
  EXPECT_EQ(cache.warnings->size(), 1u);
}

/// What is left of a file of kSequences entries after `change` is used only where it is sound.
template <class Change>
void expect_no_wrong_values(const Change& change) {
  const TemporaryFolder folder;
  fill(folder / "cache");
  const fs::path path = only_file(folder / "cache");
  std::string content = read_file(path);
  change(content);
  std::ofstream(path, std::ios::binary) << content;
  Cache cache(folder / "cache");
  int lost = 0;
  for (int s = 0; s < kSequences; ++s) {
    if (!cache.contains(key(s))) {
      ++lost;
    } else {
      ASSERT_TRUE(equals(cache.find(key(s), kCpu), values(s)));
    }
  }
  EXPECT_GT(lost, 0);
  EXPECT_TRUE(lost == cache.damaged() || cache.warnings->size() == 1) << lost;
  // What was lost is computed again and found from then on, whatever is left of the old file.
  cache.prepare();
  for (int s = 0; s < kSequences; ++s) {
    if (!cache.contains(key(s))) cache.add(key(s), values(s));
  }
  cache.flush();
  Cache healed(folder / "cache");
  for (int s = 0; s < kSequences; ++s) {
    ASSERT_TRUE(healed.contains(key(s)));
    ASSERT_TRUE(equals(healed.find(key(s), kCpu), values(s)));
  }
  EXPECT_TRUE(healed.warnings->empty());
  EXPECT_EQ(healed.damaged(), 0);
}

TEST(ReferenceCache, TrustsNoByteThatWasChanged) {
  const TemporaryFolder folder;
  fill(folder / "cache");
  const size_t size = read_file(only_file(folder / "cache")).size();
  for (size_t at = 0; at < size; ++at) {
    SCOPED_TRACE(at);
    expect_no_wrong_values([&](std::string& content) { content[at] ^= static_cast<char>(1 << at % 8); });
  }
}

TEST(ReferenceCache, TrustsNoFileThatWasCutShortOrGrew) {
  const TemporaryFolder folder;
  fill(folder / "cache");
  const size_t size = read_file(only_file(folder / "cache")).size();
  for (size_t length = 0; length < size; ++length) {
    SCOPED_TRACE(length);
    expect_no_wrong_values([&](std::string& content) { content.resize(length); });
  }
  expect_no_wrong_values([](std::string& content) { content += '\0'; });
}

TEST(ReferenceCache, SaysThatAnEntryWasChangedWhileItWasInUse) {
  const TemporaryFolder folder;
  fill(folder / "cache");
  Cache cache(folder / "cache");
  ASSERT_TRUE(cache.contains(key(kSequences - 1)));
  std::fstream file(only_file(folder / "cache"), std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(-1, std::ios::end);
  file.put('x');
  file.close();
  EXPECT_TRUE(fails(ExitCode::IoFailure, "was changed while it was in use",
                    [&] { cache.find(key(kSequences - 1), kCpu); }));
}

TEST(ReferenceCache, GoesOnInMemoryWhereItCannotWrite) {
  const TemporaryFolder folder;
  folder.write("file", "");
  Cache cache(folder / "file/cache");
  cache.prepare();
  cache.add(key(2), values(2));
  cache.flush();
  EXPECT_FALSE(cache.kept());
  ASSERT_EQ(cache.warnings->size(), 1u);
  EXPECT_NE(cache.warnings->front().find("--reference-cache"), std::string::npos) << cache.warnings->front();
  EXPECT_TRUE(cache.contains(key(2)));
  EXPECT_TRUE(equals(cache.find(key(2), kCpu), values(2)));
}

TEST(ReferenceCache, LetsRunsAddToOneFolderAtOnce) {
  const TemporaryFolder folder;
  Cache a(folder / "cache"), b(folder / "cache");
  a.prepare();
  b.prepare();
  for (int s = 0; s < 2; ++s) a.add(key(s), values(s));
  for (int s = 1; s < kSequences; ++s) b.add(key(s), values(s));
  a.flush();
  b.flush();
  Cache both(folder / "cache");
  for (int s = 0; s < kSequences; ++s) {
    ASSERT_TRUE(both.contains(key(s)));
    EXPECT_TRUE(equals(both.find(key(s), kCpu), values(s)));
  }
}

TEST(ReferenceCache, DropsTheFilesThatNoRunHasUsedForLongest) {
  const TemporaryFolder folder;
  folder.write("notes.txt", "of the user");
  const auto now = fs::file_time_type::clock::now();
  std::vector<fs::path> paths;
  for (int s = 0; s < 4; ++s) {
    fill(folder.path(), s, s + 1);
    for (const fs::path& path : files_in(folder.path())) {
      const bool known = std::find(paths.begin(), paths.end(), path) != paths.end();
      if (known || path.extension() == ".txt") continue;
      fs::last_write_time(path, now - std::chrono::hours(10 - s));
      paths.push_back(path);
    }
  }
  const auto room = static_cast<int64_t>(fs::file_size(paths[0]) + fs::file_size(paths[3]));
  Cache cache(folder.path(), kIdentity, DType::F32, room);
  ASSERT_TRUE(cache.contains(key(0)));  // the oldest, but it is in use
  cache.trim();
  EXPECT_TRUE(fs::exists(paths[0]));
  EXPECT_GT(fs::last_write_time(paths[0]), now - std::chrono::hours(1));
  EXPECT_FALSE(fs::exists(paths[1]));
  EXPECT_FALSE(fs::exists(paths[2]));
  EXPECT_TRUE(fs::exists(paths[3]));
  EXPECT_TRUE(fs::exists(folder / "notes.txt"));
  EXPECT_TRUE(equals(cache.find(key(0), kCpu), values(0)));
}

}  // namespace
}  // namespace prospect::test
