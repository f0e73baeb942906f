#include "tests/emulator/golden/vectors.h"

#include <fmt/format.h>

#include <charconv>
#include <sstream>

#include "engine/files.h"
#include "kernels/common/error.h"

namespace prospect::emulator::golden {
namespace {

constexpr size_t kWordsOfALine = 8;
constexpr uint32_t kMostWords = 1 << 20;

std::string text_of(const Words& words) {
  std::string text;
  size_t in_line = 0;
  for (size_t begin = 0, end = 0; begin < words.size(); begin = end) {
    while (end < words.size() && words[end] == words[begin]) ++end;
    if (end - begin < 3) end = begin + 1;
    text += fmt::format("{:08x}", words[begin]);
    if (end - begin > 1) text += fmt::format("*{}", end - begin);
    text += ++in_line % kWordsOfALine == 0 || end == words.size() ? '\n' : ' ';
  }
  return text;
}

/// The lines of a file, with numbers for messages.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : path_(path.string()), text_(read_text(path)) {}

  [[noreturn]] void fail(const std::string& reason) const {
    throw Error(ExitCode::BadData, fmt::format("{}:{} {}", path_, number_, reason));
  }
  /// What follows `key` and a space in the next line.
  std::string value(const std::string& key) {
    std::string line = next();
    if (!line.starts_with(key + " ")) fail("begins with something else than " + key);
    return line.substr(key.size() + 1);
  }
  Words words(const std::string& key) {
    const auto count = number<uint32_t>(value(key), 10);
    if (count > kMostWords) fail("announces too many words");
    Words words;
    while (words.size() < count) {
      std::istringstream line(next());
      for (std::string word; line >> word;) {
        const size_t star = word.find('*');
        const auto times = star == std::string::npos ? 1u : number<uint32_t>(word.substr(star + 1), 10);
        if (times == 0 || times > count - words.size()) fail("has more words than announced");
        words.insert(words.end(), times, number<uint32_t>(word.substr(0, star), 16));
      }
    }
    return words;
  }

 private:
  std::string next() {
    ++number_;
    std::string line;
    if (!std::getline(text_, line)) fail("is missing");
    return line;
  }
  template <class T>
  T number(const std::string& word, int base) const {
    T value{};
    const char* end = word.data() + word.size();
    const auto result = std::from_chars(word.data(), end, value, base);
    if (result.ec != std::errc{} || result.ptr != end) fail("has no number in '" + word + "'");
    return value;
  }

  std::string path_;
  std::istringstream text_;
  int number_ = 0;
};

}  // namespace

void write_vector(const std::filesystem::path& path, const Vector& vector) {
  write_atomically(
      {}, path,
      fmt::format("case {}\ndevice {}\ninput {}\n{}output {}\n{}", vector.name, vector.device,
                  vector.input.size(), text_of(vector.input), vector.output.size(), text_of(vector.output)));
}

Vector read_vector(const std::filesystem::path& path) {
  Reader reader(path);
  Vector vector;
  vector.name = reader.value("case");
  vector.device = reader.value("device");
  vector.input = reader.words("input");
  vector.output = reader.words("output");
  return vector;
}

std::filesystem::path path_of(const std::filesystem::path& folder, const std::string& name) {
  return folder / (name + ".golden");
}

}  // namespace prospect::emulator::golden
