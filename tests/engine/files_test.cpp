#include "engine/files.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>

#include "engine/one_line.h"
#include "tests/support/errors.h"
#include "tests/support/temporary_folder.h"

namespace prospect::test {
namespace {

namespace fs = std::filesystem;

FileSystem failing(const std::string& fault) {
  return FileSystem(Fault::parse(fault));
}

int64_t entries_in(const fs::path& folder) {
  return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
}

/// Runs `body` with a file system whose n-th call fails, for every n from 1, until one is too late to matter.
/// Returns how many calls could fail.
template <class Body>
int64_t fail_each_call(const std::string& kind, const Body& body) {
  for (int64_t n = 1;; ++n) {
    const FileSystem system = failing("any:" + kind + ":" + std::to_string(n));
    try {
      body(system);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::IoFailure) << error.what();
    }
    if (!system.faulted()) return n - 1;
  }
}

TEST(Fault, RefusesWhatSaysNone) {
  for (const char* text : {"", "write", "write:EIO", "write:EIO:", "write:EIO:0", "write:EIO:-1",
                           "write:EIO:1x", "scribble:EIO:1", "write:EHUH:1", "sync:short:1",
                           "write:EIO:99999999999999999999", "write:EIO:1:2"}) {
    EXPECT_TRUE(fails(ExitCode::Usage, "--fault: ", [&] { Fault::parse(text); })) << text;
  }
}

TEST(Fault, MeetsTheCallsThatItNamesAndNoOther) {
  const TemporaryFolder folder;
  const FileSystem third = failing("make_folder:ENOSPC:3"), from_second = failing("make_folder:EROFS:2+");
  for (int i = 1; i <= 5; ++i) {
    const std::string name = folder / std::to_string(i);
    const int made = third.make_folder(name), error = errno;
    EXPECT_EQ(made, i == 3 ? -1 : 0);
    EXPECT_TRUE(made == 0 || error == ENOSPC);
    EXPECT_EQ(third.remove(name), i == 3 ? -1 : 0);
    EXPECT_EQ(from_second.make_folder(name), i >= 2 ? -1 : 0);
  }
  EXPECT_EQ(errno, EROFS);
}

TEST(Fault, CountsTheCallsOfCopiesTogether) {
  const TemporaryFolder folder;
  const FileSystem system = failing("make_folder:EIO:2"), copy = system;
  EXPECT_EQ(system.make_folder(folder / "a"), 0);
  EXPECT_EQ(copy.make_folder(folder / "b"), -1);
}

TEST(Fault, KillsInTheMiddleOfAWrite) {
  const TemporaryFolder folder;
  const fs::path path = folder / "file";
  EXPECT_EXIT(AppendedFile(failing("write:kill:1"), path).append("12345678"),
              testing::KilledBySignal(SIGKILL), "");
  EXPECT_EQ(read_file(path), "1234");
}

TEST(AtomicFile, LeavesTheOldTextOrTheNewWhicheverCallFails) {
  const TemporaryFolder folder;
  const fs::path path = folder / "file";
  const int64_t calls = fail_each_call("EIO", [&](const FileSystem& system) {
    folder.write("file", "old");
    try {
      write_atomically(system, path, "new");
    } catch (const Error&) {
      const std::string text = read_file(path);
      EXPECT_TRUE(text == "old" || text == "new") << text;
      EXPECT_EQ(entries_in(folder.path()), 1);
      throw;
    }
    EXPECT_EQ(read_file(path), "new");
  });
  EXPECT_EQ(calls, 8);  // open, write, sync, close, rename; open, sync and close of the folder
}

TEST(AtomicFile, WritesAllThoughWritesAreShortOrInterrupted) {
  const TemporaryFolder folder;
  for (const char* fault : {"write:short:1+", "write:EINTR:1"}) {
    write_atomically(failing(fault), folder / "file", "a text of some length");
    EXPECT_EQ(read_file(folder / "file"), "a text of some length") << fault;
  }
}

TEST(ReadText, ReadsAllThoughReadsAreShortOrInterrupted) {
  const TemporaryFolder folder;
  const std::string path = folder.write("file", "a text of some length");
  for (const char* fault : {"read:short:1+", "read:EINTR:1"}) {
    EXPECT_EQ(read_text(path, kMostTextBytes, failing(fault)), "a text of some length") << fault;
  }
}

TEST(ReadText, NamesTheFileThatItCannotRead) {
  const TemporaryFolder folder;
  const std::string path = folder.write("file", "text");
  for (const char* fault : {"open:EIO:1", "read:EIO:1"}) {
    EXPECT_TRUE(fails(ExitCode::IoFailure, path, [&] { read_text(path, kMostTextBytes, failing(fault)); }));
  }
}

/// Files may not grow beyond so many bytes while one lives: a write then fills the file up to there and the
/// next one fails, as on a full disk.
class SizeLimit {
 public:
  explicit SizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~SizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST(AppendedFile, TakesBackATextThatItCannotWriteWhole) {
  const TemporaryFolder folder;
  const std::string path = folder.write("log", "first\n");
  AppendedFile file({}, path);
  file.append("second\n");
  {
    const SizeLimit limit(16);
    EXPECT_TRUE(fails(ExitCode::IoFailure, path, [&] { file.append("third\n"); }));
  }
  EXPECT_EQ(read_file(path), "first\nsecond\n");
  file.append("third\n");
  EXPECT_EQ(read_file(path), "first\nsecond\nthird\n");
}

TEST(RemovePath, RemovesTreesAndLinksButNotWhatTheyPointTo) {
  const TemporaryFolder folder;
  fs::create_directories(folder / "tree/inner");
  folder.write("tree/inner/file", "");
  fs::create_directory(folder / "kept");
  folder.write("kept/file", "kept");
  fs::create_directory_symlink(folder / "kept", folder / "tree/link");
  remove_path({}, folder / "tree");
  remove_path({}, folder / "missing");
  EXPECT_EQ(entries_in(folder.path()), 1);
  EXPECT_EQ(read_file(folder / "kept/file"), "kept");
  EXPECT_TRUE(
      fails(ExitCode::IoFailure, "kept", [&] { remove_path(failing("remove:EACCES:1"), folder / "kept"); }));
}

TEST(MakeFolders, MakesWhatIsMissingAndAcceptsWhatStands) {
  const TemporaryFolder folder;
  make_folders({}, folder / "a/b/c");
  make_folders({}, folder / "a/b/c/");
  EXPECT_TRUE(fs::is_directory(folder / "a/b/c"));
  folder.write("file", "");
  EXPECT_TRUE(fails(ExitCode::IoFailure, "file/d", [&] { make_folders({}, folder / "file/d"); }));
}

TEST(Files, RefuseAPipeAtOnce) {
  const TemporaryFolder folder;
  const fs::path pipe = folder.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_TRUE(fails(ExitCode::BadData, "pipe: not a regular file", [&] { read_text(pipe); }));
  EXPECT_TRUE(fails(ExitCode::BadData, "pipe: not a regular file", [&] { MappedFile{pipe}; }));
}

TEST(OneLine, EscapesWhatATerminalWouldObeyAndCutsWhatIsLong) {
  EXPECT_EQ(one_line("rows.jsonl:3 label: \xC3\xA9"), "rows.jsonl:3 label: \xC3\xA9");
  EXPECT_EQ(one_line(std::string_view("a\n\x1b[2J\0\x7f", 8)), "a\\x0a\\x1b[2J\\x00\\x7f");
  EXPECT_EQ(one_line(std::string(2000, 'a')).size(), 2000u);
  const std::string cut = one_line(std::string(1'000'000, 'a') + ": reason");
  EXPECT_EQ(cut.size(), 2005u);
  EXPECT_TRUE(cut.ends_with("a: reason"));
}

}  // namespace
}  // namespace prospect::test
