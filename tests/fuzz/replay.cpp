#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "engine/files.h"
#include "tests/fuzz/harness.h"
#include "tests/fuzz/mutate.h"

/// Runs a target without libFuzzer: TARGET_replay [--mutations N] [--seconds S] [--seed K] FILE_OR_FOLDER...
/// Each file as it is, then N mutations of each, then mutations until S seconds are over. A child does the
/// work, so that an input which ends or hangs it can be told and kept. Exits 0 when there was none, 1 when
/// there was, 2 when there is nothing to run or a file cannot be read.
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct Options {
  uint64_t mutations = 0, seconds = 0, seed = 1;
  std::vector<fs::path> files;
  std::vector<std::string> contents;
};

/// What the child is doing, in memory that it shares with its parent.
struct Progress {
  volatile uint64_t file, mutation, done;  ///< mutation 0: the file as it is
};

/// Files of a folder in the order of their names.
void add_files(const fs::path& path, std::vector<fs::path>& files) {
  if (!fs::is_directory(path)) return files.push_back(path);
  const size_t before = files.size();
  for (const auto& entry : fs::directory_iterator(path)) files.push_back(entry.path());
  std::sort(files.begin() + static_cast<std::ptrdiff_t>(before), files.end());
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto number = [&] { return std::strtoull(++i < argc ? argv[i] : "0", nullptr, 10); };
    if (word == "--mutations") {
      options.mutations = number();
    } else if (word == "--seconds") {
      options.seconds = number();
    } else if (word == "--seed") {
      options.seed = number();
    } else {
      add_files(word, options.files);
    }
  }
  for (const fs::path& file : options.files) options.contents.push_back(prospect::read_text(file));
  return options;
}

std::string input_of(const Options& options, uint64_t file, uint64_t mutation) {
  const std::string& intact = options.contents[file];
  return mutation == 0 ? intact
                       : prospect::fuzz::mutated(intact, options.seed * 1'000'003 + file * 7919 + mutation);
}

void run_one(const Options& options, uint64_t file, uint64_t mutation, Progress& progress) {
  progress.file = file;
  progress.mutation = mutation;
  const std::string input = input_of(options, file, mutation);
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
  progress.done = progress.done + 1;
}

void work(const Options& options, Progress& progress) {
  const auto end = Clock::now() + std::chrono::seconds(options.seconds);
  for (uint64_t mutation = 0; mutation <= options.mutations || Clock::now() < end; ++mutation) {
    for (uint64_t file = 0; file < options.files.size(); ++file) run_one(options, file, mutation, progress);
  }
}

/// Waits for the child; kills it when one input takes longer than ten seconds. The wait status. The seconds
/// are counted in waits: a machine that stood still meanwhile is no finding.
int wait_for(pid_t child, const Progress& progress) {
  constexpr int64_t kMicroseconds = 2000, kMostWaits = 10'000'000 / kMicroseconds;
  int status = 0;
  uint64_t done = 0;
  for (int64_t waits = 0; ::waitpid(child, &status, WNOHANG) == 0; ::usleep(kMicroseconds)) {
    waits = progress.done == done ? waits + 1 : 0;
    done = progress.done;
    if (waits > kMostWaits) {
      std::fprintf(stderr, "finding: one input takes longer than 10 s\n");
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      break;
    }
  }
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  try {
    options = parse(argc, argv);
  } catch (const prospect::Error& error) {
    return std::fprintf(stderr, "%s: %s\n", argv[0], error.what()), 2;
  }
  if (options.files.empty()) return std::fprintf(stderr, "%s: no files\n", argv[0]), 2;
  void* shared = ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return std::perror("mmap"), 1;
  auto& progress = *static_cast<Progress*>(shared);
  const pid_t child = ::fork();
  if (child == 0) {
    work(options, progress);
    std::exit(0);
  }
  const int status = wait_for(child, progress);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    std::printf("%s: %llu inputs, no finding\n", fs::path(argv[0]).filename().c_str(),
                static_cast<unsigned long long>(progress.done));
    return 0;
  }
  const std::string kept = fs::path(argv[0]).filename().string() + "-finding";
  std::ofstream(kept, std::ios::binary) << input_of(options, progress.file, progress.mutation);
  std::fprintf(stderr, "%s: mutation %llu of %s (seed %llu) breaks it; kept as %s\n", argv[0],
               static_cast<unsigned long long>(progress.mutation), options.files[progress.file].c_str(),
               static_cast<unsigned long long>(options.seed), kept.c_str());
  return 1;
}
