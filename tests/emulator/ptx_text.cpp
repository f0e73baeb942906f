#include "tests/emulator/ptx_text.h"

#include <algorithm>
#include <sstream>

#include "tests/emulator/fault.h"

namespace prospect::emulator {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

/// The text without its comments.
std::string without_comments(std::string_view text) {
  std::string kept;
  kept.reserve(text.size());
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') quoted = !quoted;
    if (!quoted && text.substr(i, 2) == "//") {
      i = std::min(text.find('\n', i), text.size() - 1);
    } else if (!quoted && text.substr(i, 2) == "/*") {
      i = std::min(text.find("*/", i) + 1, text.size() - 1);
      continue;
    }
    kept += text[i];
  }
  return kept;
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  ModuleText module() {
    ModuleText result;
    for (skip_space(); at_ < text_.size(); skip_space()) {
      const std::string_view line = text_.substr(at_, text_.find('\n', at_) - at_);
      if (starts_with_word(line, ".section")) {
        at_ = closing(text_.find('{', at_)) + 1;
      } else if (starts_with_word(line, ".file")) {
        const auto words = split_words(line);
        std::string path = words.at(2).substr(0, words[2].find_last_of('"'));
        result.files[std::stoi(words.at(1))] = path.substr(path.find_last_of("\"/") + 1);
        at_ += line.size();
      } else if (line.starts_with(".version") || line.starts_with(".target") ||
                 line.starts_with(".address_size")) {
        at_ += line.size();
      } else {
        declaration(result);
      }
    }
    return result;
  }

 private:
  static bool starts_with_word(std::string_view line, std::string_view word) {
    return line.starts_with(word) && line.size() > word.size() &&
           kSpace.find(line[word.size()]) != kSpace.npos;
  }
  void skip_space() { at_ = std::min(text_.find_first_not_of(kSpace, at_), text_.size()); }

  /// The place of the bracket that closes the one at `open`.
  size_t closing(size_t open) const {
    int depth = 0;
    for (size_t i = open; i < text_.size(); ++i) {
      if (text_[i] == '{' || text_[i] == '(') ++depth;
      if ((text_[i] == '}' || text_[i] == ')') && --depth == 0) return i;
    }
    throw Unsupported("PTX ends inside a bracket");
  }

  /// A kernel, a device function or a variable.
  void declaration(ModuleText& result) {
    const size_t semicolon = text_.find(';', at_), parenthesis = text_.find('(', at_);
    if (semicolon < parenthesis) {
      result.variables.emplace_back(text_.substr(at_, semicolon - at_));
      at_ = semicolon + 1;
      return;
    }
    const auto head = split_words(text_.substr(at_, parenthesis - at_));
    const size_t end = closing(parenthesis), brace = text_.find('{', end);
    const bool is_kernel = std::find(head.begin(), head.end(), ".entry") != head.end();
    if (!is_kernel && text_.find(';', end) < brace) {  // a device function declared, not defined
      at_ = text_.find(';', end) + 1;
      return;
    }
    if (brace == text_.npos) throw Unsupported("PTX: unknown declaration at: " + head.at(0));
    const size_t close = closing(brace);
    if (is_kernel) {
      result.kernels.push_back({head.back(),
                                std::string(text_.substr(parenthesis + 1, end - parenthesis - 1)),
                                std::string(text_.substr(end + 1, brace - end - 1)),
                                {}});
      body(text_.substr(brace + 1, close - brace - 1), result.kernels.back().body);
    }
    at_ = close + 1;
  }

  /// Statements end with ';' (.loc with its line); a brace opens a scope only where a statement may begin.
  static void body(std::string_view text, std::vector<Statement>& statements) {
    SourceLine here;
    for (size_t at = text.find_first_not_of(kSpace); at < text.size();
         at = text.find_first_not_of(kSpace, at)) {
      if (text[at] == '{' || text[at] == '}') {
        statements.push_back({text[at] == '{' ? Statement::Kind::Open : Statement::Kind::Close, "", here});
        ++at;
        continue;
      }
      if (starts_with_word(text.substr(at), ".loc")) {
        at = location(text, at, here);
        continue;
      }
      const size_t end = std::min(text.find(';', at), text.size());
      const size_t word = text.find_first_of(" \t\r\n;:", at);
      if (word < end && text[word] == ':' && text[word + 1] != ':') {
        statements.push_back({Statement::Kind::Label, std::string(text.substr(at, word - at)), here});
        at = word + 1;
        continue;
      }
      statements.push_back({Statement::Kind::Text, std::string(trim(text.substr(at, end - at))), here});
      at = end + 1;
    }
  }

  /// .loc FILE LINE COLUMN [, function_name LABEL, inlined_at FILE LINE COLUMN]; line 0 says nothing new.
  static size_t location(std::string_view text, size_t at, SourceLine& here) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const auto words = split_words(text.substr(at + 4, end - at - 4));
    const auto inlined = std::find(words.begin(), words.end(), "inlined_at");
    if (words.size() < 2 || std::stoi(words[1]) == 0) return end;
    here = {std::stoi(words[0]), std::stoi(words[1])};
    if (words.end() - inlined > 2)
      here.caller_file = std::stoi(inlined[1]), here.caller_line = std::stoi(inlined[2]);
    return end;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::vector<std::string> split_operands(std::string_view text) {
  std::vector<std::string> parts;
  int depth = 0;
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '{' || text[i] == '[') ++depth;
    if (text[i] == '}' || text[i] == ']') --depth;
    if (text[i] == ',' && depth == 0) {
      parts.emplace_back(trim(text.substr(begin, i - begin)));
      begin = i + 1;
    }
  }
  if (!trim(text.substr(begin)).empty()) parts.emplace_back(trim(text.substr(begin)));
  return parts;
}

std::vector<std::string> split_words(std::string_view text) {
  std::istringstream stream{std::string(text)};
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

int ptx_target(std::string_view ptx) {
  constexpr std::string_view kWord = "\n.target sm_";
  const size_t at = ptx.find(kWord);
  if (at == ptx.npos) throw Unsupported("PTX without a target");
  return std::stoi(std::string(ptx.substr(at + kWord.size(), 3)));
}

ModuleText read_module(std::string_view ptx) {
  const std::string text = without_comments(ptx);
  return Reader(text).module();
}

}  // namespace prospect::emulator
