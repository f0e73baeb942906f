#include <fmt/core.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "kernels/common/error.h"
#include "tests/support/process.h"

namespace prospect::test {
namespace {

namespace fs = std::filesystem;

const std::string kLlama = PROSPECT_SOURCE_DIR "/tests/golden/parity/llama";

/// Rows enough that the reference alone takes a minute.
std::string many_rows(const TemporaryFolder& folder) {
  std::string text;
  for (int i = 0; i < 400; ++i) {
    text += fmt::format(
        "{{\"prompt\": \"row {0} of\", \"completion\": \" popcorn {1} and green tea {2} and rye bread {0} "
        "{1} "
        "{2} {3}\", \"label\": {4}}}\n",
        i, 7 * i, 11 * i, 13 * i, i % 2 == 0);
  }
  return folder.write("rows.jsonl", text);
}

std::vector<std::string> train_words(const std::string& data, const std::string& out,
                                     const std::string& cache, const char* steps) {
  return {"train", "--model",
          kLlama,  "--data",
          data,    "--out",
          out,     "--max-steps",
          steps,   "--per-device-train-batch-size",
          "8",     "--save-steps",
          "0",     "--threads",
          "2",     "--reference-cache",
          cache};
}

int64_t files_in(const fs::path& folder) {
  int64_t count = 0;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(folder, missing))
    count += entry.path().extension() == ".logps";
  return count;
}

/// Waits for a file of the cache beyond the first `known`, for at most 60 seconds.
bool wait_for_file(const fs::path& cache, int64_t known) {
  for (int i = 0; i < 6000; ++i) {
    if (files_in(cache) > known) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

/// What a short run printed: by the program itself, since entries belong to one program.
std::string whole_run(const TemporaryFolder& folder, const std::string& data, const std::string& out,
                      const std::string& cache) {
  EXPECT_EQ(exit_code_of(start(train_words(data, folder / out, cache, "6"), folder / "log")), 0);
  return read_file(folder / "log");
}

struct Stopped {
  int64_t done = 0, of = 0;
};

/// Starts a run and interrupts it when it has put the first results into the cache.
Stopped stopped_run(const TemporaryFolder& folder, const std::string& data) {
  const int64_t known = files_in(folder / "cache");
  const pid_t child = start(train_words(data, folder / "run", folder / "cache", "20000"), folder / "log");
  EXPECT_TRUE(wait_for_file(folder / "cache", known));
  ::kill(child, SIGINT);
  EXPECT_EQ(exit_code_of(child), static_cast<int>(ExitCode::Preempted));
  const std::string log = read_file(folder / "log");
  Stopped stopped;
  const size_t at = log.find("stopped before the first step");
  EXPECT_NE(at, std::string::npos) << log;
  if (at != std::string::npos) {
    std::sscanf(log.c_str() + at, "stopped before the first step, at %ld of %ld tokens", &stopped.done,
                &stopped.of);
  }
  EXPECT_NE(log.find("the same command goes on from there"), std::string::npos) << log;
  return stopped;
}

TEST(ReferenceStop, InterruptedRunGoesOnWhereItStopped) {
  const TemporaryFolder folder;
  const std::string data = many_rows(folder);
  const Stopped first = stopped_run(folder, data), second = stopped_run(folder, data);
  EXPECT_GT(first.done, 0);
  EXPECT_EQ(second.of, first.of - first.done);
  EXPECT_TRUE(fs::is_empty(folder / "run"));
}

TEST(ReferenceStop, KilledRunKeepsWhatItHadComputed) {
  const TemporaryFolder folder;
  const std::string data = many_rows(folder);
  const pid_t child = start(train_words(data, folder / "run", folder / "cache", "20000"), folder / "log");
  ASSERT_TRUE(wait_for_file(folder / "cache", 0));
  ::kill(child, SIGKILL);
  EXPECT_EQ(exit_code_of(child), -1);
  const std::string next = whole_run(folder, data, "run", folder / "cache");
  const std::string fresh = whole_run(folder, data, "fresh", "none");
  EXPECT_EQ(next.find("reference: 0 sequences from the cache"), std::string::npos) << next;
  EXPECT_NE(fresh.find("reference: 0 sequences from the cache"), std::string::npos) << fresh;
  EXPECT_EQ(read_file(folder / "run/model/model.safetensors"),
            read_file(folder / "fresh/model/model.safetensors"));
}

TEST(ReferenceStop, RunsAtOnceShareACache) {
  const TemporaryFolder folder;
  const std::string data = many_rows(folder);
  std::vector<pid_t> children;
  for (const std::string run : {"a", "b", "c"}) {
    children.push_back(
        start(train_words(data, folder / run, folder / "cache", "6"), folder / (run + ".log")));
  }
  for (const pid_t child : children) EXPECT_EQ(exit_code_of(child), 0);
  const std::string after = whole_run(folder, data, "d", folder / "cache");
  EXPECT_NE(after.find(" 0 computed"), std::string::npos) << after;
  for (const std::string run : {"b", "c", "d"}) {
    EXPECT_EQ(read_file(folder / "a/model/model.safetensors"),
              read_file(folder / (run + "/model/model.safetensors")));
  }
}

}  // namespace
}  // namespace prospect::test
