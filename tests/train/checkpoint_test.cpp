#include "train/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "engine/files.h"
#include "tests/support/temporary_folder.h"
#include "train/output_folder.h"

namespace prospect::test {
namespace {

namespace fs = std::filesystem;

/// The state of a run of three tensors, `seed` telling one state from another.
struct State {
  explicit State(float seed)
      : values(Tensor::from(std::vector<float>{seed, 1, 2, 3, 4, 5}, {2, 3}, Device::cpu())),
        moments(Tensor::from(std::vector<double>{seed, -1}, Device::cpu())),
        cursor(Tensor::from(std::vector<int32_t>{static_cast<int32_t>(seed)}, Device::cpu())) {}
  std::vector<NamedTensor> named() const {
    return {{"values", values}, {"optimizer.moments", moments}, {"cursor", cursor}};
  }
  bool holds(float seed) const {
    return to_doubles(values) == std::vector<double>{seed, 1, 2, 3, 4, 5} &&
           to_doubles(moments) == std::vector<double>{seed, -1} &&
           to_doubles(cursor) == std::vector<double>{seed};
  }
  Tensor values, moments, cursor;
};

void save(const fs::path& folder, int64_t step, int64_t keep = 10) {
  const auto seed = static_cast<float>(step);
  save_checkpoint({}, folder, step, "{\"step\": " + std::to_string(step) + "}", State(seed).named(), keep);
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(WriteFolder, TakesThePlaceOfAFolderThoughAnInterruptedRunLeftAnOlderOne) {
  const TemporaryFolder folder;
  for (const char* left : {"model", "model.replaced", "model.partial"}) {
    fs::create_directory(folder / left);
    folder.write(std::string(left) + "/old", "old");
  }
  write_folder({}, folder / "model",
               [](const fs::path& temporary) { write_atomically({}, temporary / "new", "new"); });
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"model"});
  EXPECT_EQ(names_in(folder / "model"), std::vector<std::string>{"new"});
}

void write(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string flipped(std::string text, size_t bit) {
  text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << bit % 8));
  return text;
}

/// True if opening fails as a bad file does.
bool refused(const fs::path& path) {
  try {
    const Checkpoint checkpoint(path);
    return false;
  } catch (const Error& error) {
    return error.code() == ExitCode::BadData || error.code() == ExitCode::MissingInput;
  }
}

TEST(Checkpoint, GivesBackEveryTensorAndTheState) {
  const TemporaryFolder folder;
  save(folder.path(), 12);
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"step-00000012"}));
  const Checkpoint checkpoint(folder / "step-00000012");
  EXPECT_EQ(checkpoint.step(), 12);
  EXPECT_EQ(checkpoint.state(), "{\"step\": 12}");
  const State state(0);
  checkpoint.load(state.named());
  EXPECT_TRUE(state.holds(12));
}

TEST(Checkpoint, IsTheSameBytesForTheSameState) {
  const TemporaryFolder folder;
  save(folder.path() / "a", 1);
  save(folder.path() / "b", 1);
  for (const std::string& name : names_in(folder.path() / "a/step-00000001")) {
    EXPECT_EQ(read_file(folder.path() / "a/step-00000001" / name),
              read_file(folder.path() / "b/step-00000001" / name));
  }
}

TEST(Checkpoint, ReplacesAnEarlierOneOfTheSameStep) {
  const TemporaryFolder folder;
  save_checkpoint({}, folder.path(), 3, "old", State(1).named(), 2);
  save_checkpoint({}, folder.path(), 3, "new", State(2).named(), 2);
  EXPECT_EQ(Checkpoint(folder / "step-00000003").state(), "new");
  EXPECT_EQ(names_in(folder.path()).size(), 1u);
}

TEST(Checkpoint, KeepsTheLastOnesAndNeverRemovesTheOneJustWritten) {
  const TemporaryFolder folder;
  for (const int64_t step : {10, 20, 30, 40}) save(folder.path(), step, 2);
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"step-00000030", "step-00000040"}));
  save(folder.path(), 35, 1);
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"step-00000035", "step-00000040"}));
}

TEST(Checkpoint, DetectsAFlippedBitInEachByteOfEveryFile) {
  const TemporaryFolder folder;
  save(folder.path(), 1);
  const fs::path path = folder / "step-00000001";
  for (const char* name : {"state.json", "values.bin", "optimizer.moments.bin", "cursor.bin"}) {
    const std::string good = read_file(path / name);
    for (size_t bit = 0; bit < 8 * good.size(); bit += 7) {
      write(path / name, flipped(good, bit));
      ASSERT_TRUE(refused(path)) << name << " bit " << bit;
    }
    write(path / name, good);
  }
  EXPECT_FALSE(refused(path));
}

TEST(Manifest, DetectsEveryFlippedBit) {
  const TemporaryFolder folder;
  save(folder.path(), 1);
  const std::string good = read_file(folder / "step-00000001/manifest.json");
  EXPECT_EQ(Manifest::from_text(good, "m").files.size(), 4u);
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    EXPECT_THROW(Manifest::from_text(flipped(good, bit), "m"), Error) << "bit " << bit;
  }
}

TEST(Manifest, RefusesAHundredThousandKeysInLittleTime) {
  std::string text = "{\"format\": 1, \"step\": 1, \"files\": []";
  for (int i = 0; i < 100'000; ++i) text += ",\"" + std::to_string(i) + "\":0";
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THROW(Manifest::from_text(text + "}", "m"), Error);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));  // found one by one: a minute
}

TEST(Checkpoint, DetectsTruncationAndAppendedBytes) {
  const TemporaryFolder folder;
  save(folder.path(), 1);
  const fs::path path = folder / "step-00000001";
  for (const std::string& name : names_in(path)) {
    const std::string good = read_file(path / name);
    for (size_t size = 0; size < good.size(); size += 1 + size / 20) {
      write(path / name, good.substr(0, size));
      ASSERT_TRUE(refused(path)) << name << " cut to " << size;
    }
    write(path / name, good + "\n");
    EXPECT_TRUE(refused(path)) << name << " appended to";
    write(path / name, good);
  }
}

TEST(Checkpoint, DetectsMissingSwappedForeignAndRenamedFiles) {
  const TemporaryFolder folder;
  save(folder.path(), 1);
  save(folder.path(), 2);
  const fs::path path = folder / "step-00000001", other = folder / "step-00000002";
  for (const std::string& name : names_in(path)) {
    const std::string good = read_file(path / name);
    fs::remove(path / name);
    EXPECT_TRUE(refused(path)) << name << " missing";
    fs::create_directory(path / name);
    EXPECT_TRUE(refused(path)) << name << " a folder";
    fs::remove(path / name);
    write(path / name, read_file(other / name));
    EXPECT_TRUE(refused(path)) << name << " of another step";
    write(path / name, good);
  }
  write(path / "notes.txt", "mine");
  EXPECT_TRUE(refused(path));
  fs::remove(path / "notes.txt");
  EXPECT_FALSE(refused(path));
  fs::rename(path, folder / "step-00000007");
  EXPECT_TRUE(refused(folder / "step-00000007"));
}

TEST(Checkpoint, RefusesAManifestThatNamesFilesElsewhere) {
  const TemporaryFolder folder;
  save(folder.path(), 1);
  for (const char* name : {"../secret", "/etc/passwd", ".hidden", ""}) {
    Manifest manifest{.step = 1, .files = {}};
    manifest.files.push_back({.name = name, .bytes = 0, .checksum = checksum({}), .dtype = {}, .shape = {}});
    write(folder / "step-00000001/manifest.json", manifest.to_text());
    EXPECT_TRUE(refused(folder / "step-00000001")) << name;
  }
  write(folder / "step-00000001/manifest.json", std::string(500000, '['));
  EXPECT_TRUE(refused(folder / "step-00000001"));
  write(folder / "step-00000001/manifest.json", R"({"format":1,"step":1e300,"files":[{"name":7}]})");
  EXPECT_TRUE(refused(folder / "step-00000001"));
}

TEST(Checkpoint, TouchesNoTensorUnlessAllFit) {
  const TemporaryFolder folder;
  save(folder.path(), 1);
  const Checkpoint checkpoint(folder / "step-00000001");
  const State state(0);
  auto other_shape = state.named(), other_dtype = state.named(), unknown = state.named(),
       fewer = state.named();
  other_shape[1].tensor = Tensor::zeros({3}, DType::F64, Device::cpu());
  other_dtype[2].tensor = Tensor::zeros({1}, DType::F32, Device::cpu());
  unknown[2].name = "unknown";
  fewer.pop_back();
  for (const auto& tensors : {other_shape, other_dtype, unknown, fewer}) {
    EXPECT_THROW(checkpoint.load(tensors), Error);
    EXPECT_TRUE(state.holds(0));
  }
}

TEST(LatestCheckpoint, PassesOverBrokenOnesAndSaysWhy) {
  const TemporaryFolder folder;
  std::vector<std::string> reports;
  const auto report = [&](const std::string& text) { reports.push_back(text); };
  EXPECT_FALSE(latest_checkpoint({}, folder.path() / "missing", report).has_value());
  EXPECT_FALSE(latest_checkpoint({}, folder.path(), report).has_value());
  for (const int64_t step : {5, 10, 15, 20}) save(folder.path(), step);
  fs::remove(folder / "step-00000020/values.bin");
  write(folder / "step-00000015/state.json", "{\"step\": 16}");
  write(folder / "step-00000099", "a file");
  fs::create_directories(folder / "step-100");
  const auto latest = latest_checkpoint({}, folder.path(), report);
  ASSERT_TRUE(latest.has_value());
  EXPECT_EQ(latest->step(), 10);
  ASSERT_EQ(reports.size(), 3u);
  EXPECT_TRUE(reports[0].starts_with("step-00000099: passed over: "));
  EXPECT_TRUE(reports[1].starts_with("step-00000020: passed over: "));
  EXPECT_TRUE(reports[2].ends_with("state.json: its checksum is not the manifest's")) << reports[2];
}

/// What latest_checkpoint says with a file system that fails in this way; "" where it finds one.
std::string why_unreadable(const fs::path& folder, const char* fault) {
  try {
    latest_checkpoint(FileSystem(Fault::parse(fault)), folder, [](const std::string&) {});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::IoFailure);
    return error.what();
  }
  return "";
}

TEST(LatestCheckpoint, IsAnIoFailureWhereNoneIsSoundAndOneCouldNotBeRead) {
  const TemporaryFolder folder;
  for (const int64_t step : {5, 10, 15}) save(folder.path(), step);
  fs::remove(folder / "step-00000015/values.bin");
  EXPECT_NE(why_unreadable(folder.path(), "open:EACCES:1+").find("step-00000015/manifest.json: cannot open"),
            std::string::npos);
  EXPECT_EQ(why_unreadable(folder.path(), "open:EIO:1"), "") << "only the newest cannot be read";
  fs::remove(folder / "step-00000005/values.bin");
  fs::remove(folder / "step-00000010/values.bin");
  EXPECT_NE(why_unreadable(folder.path(), "read:EIO:2").find("step-00000010/manifest.json: cannot read"),
            std::string::npos);
  EXPECT_FALSE(latest_checkpoint({}, folder.path(), [](const std::string&) {}).has_value()) << "all broken";
}

TEST(SaveCheckpoint, LeavesNothingWhenItFailsAndTheEarlierOneStays) {
  const TemporaryFolder folder;
  save(folder.path(), 1);
  const State state(2);
  // The second tensor's name is too long for a file: the first is written by then.
  const std::vector<NamedTensor> tensors{{"values", state.values}, {std::string(300, 'x'), state.moments}};
  for (const int64_t step : {1, 2}) {
    EXPECT_THROW(save_checkpoint({}, folder.path(), step, "{}", tensors, 1), Error);
    EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"step-00000001"}));
  }
  EXPECT_EQ(Checkpoint(folder / "step-00000001").state(), "{\"step\": 1}");
}

/// Runs `body` with a file system whose n-th call fails, for every n until one is too late to matter.
template <class Body>
void fail_each_call(const Body& body) {
  for (int64_t n = 1;; ++n) {
    const FileSystem system(Fault::parse("any:EIO:" + std::to_string(n)));
    try {
      body(system);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::IoFailure) << error.what();
    }
    if (!system.faulted()) return;
  }
}

TEST(WriteFolder, LeavesTheOldFolderOrTheNewWhicheverCallFails) {
  const TemporaryFolder folder;
  fail_each_call([&](const FileSystem& system) {
    fs::remove_all(folder / "model");
    fs::create_directory(folder / "model");
    folder.write("model/old", "old");
    const auto names = [&] { return names_in(folder / "model"); };
    try {
      write_folder(system, folder / "model",
                   [&](const fs::path& temporary) { write_atomically(system, temporary / "new", "new"); });
    } catch (const Error&) {
      EXPECT_TRUE(names() == std::vector<std::string>{"old"} || names() == std::vector<std::string>{"new"});
      throw;
    }
    EXPECT_EQ(names(), std::vector<std::string>{"new"});
  });
}

TEST(SaveCheckpoint, LeavesASoundOneWhicheverCallFails) {
  const TemporaryFolder folder;
  const auto ignore = [](const std::string& why) { ADD_FAILURE() << why; };
  save(folder.path(), 1);
  int64_t step = 2;
  fail_each_call([&](const FileSystem& system) {
    const int64_t before = latest_checkpoint({}, folder.path(), ignore)->step();
    try {
      save_checkpoint(system, folder.path(), step, "{}", State(7).named(), 1);
    } catch (const Error&) {
      const auto latest = latest_checkpoint({}, folder.path(), ignore);
      ASSERT_TRUE(latest.has_value());
      EXPECT_TRUE(latest->step() == before || latest->step() == step);
      step += latest->step() == step ? 1 : 0;
      throw;
    }
    EXPECT_EQ(latest_checkpoint({}, folder.path(), ignore)->step(), step++);
  });
}

TEST(SaveCheckpoint, LeavesASoundOneThoughTheProcessDiesAtAnyCall) {
  const TemporaryFolder folder;
  const auto fault = [](int64_t n) { return FileSystem(Fault::parse("any:kill:" + std::to_string(n))); };
  save(folder.path(), 1);
  for (int64_t n = 1, ended = 0; ended == 0; ++n) {
    const pid_t child = ::fork();
    if (child == 0) {
      save_checkpoint(fault(n), folder.path(), n % 3 == 0 ? 1 : n, "{}", State(7).named(), 2);
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ended = WIFEXITED(status) ? n : 0;
    clean_checkpoints({}, folder.path());
    const auto latest =
        latest_checkpoint({}, folder.path(), [](const std::string& why) { ADD_FAILURE() << why; });
    ASSERT_TRUE(latest.has_value()) << "died at call " << n;
    for (const std::string& name : names_in(folder.path())) EXPECT_TRUE(name.starts_with("step-")) << name;
  }
}

TEST(CleanCheckpoints, RemovesLeftoversPutsBackWhatWasToBeReplacedAndSparesTheRest) {
  const TemporaryFolder folder;
  save(folder.path(), 1);
  save(folder.path(), 2);
  fs::create_directories(folder / "step-00000003.partial/x");
  fs::create_directories(folder / "step-00000001.replaced");
  fs::rename(folder / "step-00000002", folder / "step-00000002.replaced");
  fs::create_directories(folder / "step-00000002.partial");
  fs::create_directories(folder / "mine.partial");
  clean_checkpoints({}, folder.path());
  EXPECT_EQ(names_in(folder.path()),
            (std::vector<std::string>{"mine.partial", "step-00000001", "step-00000002"}));
  EXPECT_FALSE(refused(folder / "step-00000002"));
  clean_checkpoints({}, folder.path() / "missing");
}

}  // namespace
}  // namespace prospect::test
