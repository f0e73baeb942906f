#include "tests/emulator/decode.h"

#include <cxxabi.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "tests/emulator/fault.h"
#include "tests/emulator/op_table.h"
#include "tests/emulator/special.h"

namespace prospect::emulator {
namespace {

/// Bits of the registers of a type, 0 when there is no such type.
uint8_t register_bits(std::string_view type) {
  if (type == ".pred") return 1;
  for (const uint8_t bits : {16, 32, 64}) {
    for (const char kind : {'b', 'u', 's', 'f'}) {
      if (type == fmt::format(".{}{}", kind, bits)) return bits;
    }
  }
  return 0;
}

/// Bits that an operand's letter asks for, 0: any.
uint8_t letter_bits(char letter) {
  switch (letter | 0x20) {
    case 'p':
      return 1;
    case 'h':
      return 16;
    case 'w':
      return 32;
    case 'd':
      return 64;
    default:
      return 0;
  }
}

/// Of instructions that name one space.
Space space_of(const std::string& spelling) {
  const auto has = [&](const char* word) { return spelling.find(word) != std::string::npos; };
  if (has(".shared::cluster")) return Space::SharedCluster;
  if (has(".shared")) return Space::Shared;
  if (has(".global") || has(".const")) return Space::Global;
  return has(".local") ? Space::Local : has(".param") ? Space::Param : Space::Generic;
}

Ordering ordering_of(const std::string& spelling) {
  const auto has = [&](const char* word) { return spelling.find(word) != std::string::npos; };
  const bool acquires = has(".acquire") || has(".acq_rel"), releases = has(".release") || has(".acq_rel");
  return {acquires || releases || has(".relaxed") || has(".volatile"), acquires, releases, has(".cta")};
}

/// The C++ name of a kernel.
std::string readable(const std::string& symbol) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status), &std::free);
  return name == nullptr ? symbol : name.get();
}

class Decoder {
 public:
  Decoder(const ModuleText& module, const KernelText& kernel, const Symbols& symbols)
      : symbols_(symbols), kernel_(kernel), program_(std::make_unique<Program>()) {
    program_->kernel = readable(kernel.name);
    program_->files = module.files;
  }

  std::unique_ptr<Program> run() {
    parameters();
    attributes();
    place_shared();
    open_scope();
    for (const Statement& statement : kernel_.body) {
      at_ = &statement;
      switch (statement.kind) {
        case Statement::Kind::Open:
          open_scope();
          break;
        case Statement::Kind::Close:
          scopes_.pop_back();
          break;
        case Statement::Kind::Label:
          labels_[{scopes_.back().id, statement.text}] = here();
          break;
        case Statement::Kind::Text:
          statement.text[0] == '.' ? directive(statement.text) : instruction(statement.text);
      }
    }
    for (const Jump& jump : jumps_) program_->code[jump.instruction].target = target(jump);
    return std::move(program_);
  }

 private:
  struct Register {
    int slot;
    uint8_t bits;
  };
  struct Scope {
    int id;
    std::map<std::string, Register, std::less<>> registers;
  };
  struct Jump {
    size_t instruction;
    std::string label;
    std::vector<int> scopes;  ///< ids, from the outermost to the innermost
  };

  void open_scope() { scopes_.push_back({next_scope_++, {}}); }

  uint32_t target(const Jump& jump) const {
    for (auto scope = jump.scopes.rbegin(); scope != jump.scopes.rend(); ++scope) {
      const auto found = labels_.find({*scope, jump.label});
      if (found != labels_.end()) return found->second;
    }
    throw Unsupported(program_->kernel + ": no label " + jump.label);
  }

  uint32_t here() const { return static_cast<uint32_t>(program_->code.size()); }

  [[noreturn]] void unsupported(const std::string& reason) const {
    const auto file = program_->files.find(at_->at.file);
    throw Unsupported(fmt::format("{}: unsupported PTX `{}` at {}:{}: {}", program_->kernel, at_->text,
                                  file == program_->files.end() ? "?" : file->second, at_->at.line, reason));
  }

  void parameters() {
    for (const std::string& text : split_operands(kernel_.parameters)) {
      const Declaration parameter = read_declaration(text);
      const size_t offset =
          (program_->parameter_bytes + parameter.align - 1) / parameter.align * parameter.align;
      variables_[parameter.name] = kParamWindow + offset;
      program_->parameters.push_back({offset, parameter.bytes});
      program_->parameter_bytes = offset + parameter.bytes;
    }
  }

  void attributes() {
    const auto words = split_words(kernel_.attributes);
    for (size_t i = 0; i < words.size(); ++i) {
      if (words[i] != ".maxntid" && words[i] != ".reqnctapercluster") continue;
      const bool is_cluster = words[i] != ".maxntid";
      unsigned extent[3] = {1, 1, 1};
      size_t dimension = 0;
      do extent[dimension++] = static_cast<unsigned>(std::stoul(words.at(++i)));
      while (words[i].ends_with(',') && dimension < 3);
      if (is_cluster) {
        std::copy_n(extent, 3, program_->cluster);
      } else {
        program_->max_threads = extent[0] * extent[1] * extent[2];
      }
    }
  }

  void directive(const std::string& text) {
    if (text.starts_with(".reg")) return registers(text);
    if (text.starts_with(".pragma")) return;
    const Declaration variable = read_declaration(text);
    if (variable.space == ".shared") return;  // placed already
    if (variable.space == ".local") {
      const size_t offset = (program_->local_bytes + variable.align - 1) / variable.align * variable.align;
      variables_[variable.name] = kLocalWindow + offset;
      program_->local_bytes = offset + variable.bytes;
    } else {
      unsupported("unknown directive");
    }
  }

  /// .reg .b32 %r<374>  or  .reg .pred p, q
  void registers(const std::string& text) {
    const size_t dot = text.find('.', 1), end = text.find_first_of(" \t", dot);
    const uint8_t bits = register_bits(text.substr(dot, end - dot));
    if (bits == 0) unsupported("unknown type of register");
    for (const std::string& name : split_operands(text.substr(end))) {
      const size_t angle = name.find('<');
      if (angle == std::string::npos) {
        scopes_.back().registers[name] = {program_->slots++, bits};
        continue;
      }
      const int count = std::stoi(name.substr(angle + 1));
      for (int i = 0; i < count; ++i) {
        scopes_.back().registers[name.substr(0, angle) + std::to_string(i)] = {program_->slots++, bits};
      }
    }
  }

  /// Static arrays stand behind gaps, so that an overrun meets none of the others; the dynamic one comes
  /// last.
  void place_shared() {
    for (const Statement& statement : kernel_.body) {
      if (statement.text.starts_with(".shared")) place(read_declaration(statement.text));
    }
    for (const Declaration& variable : symbols_.shared) {
      if (variable.bytes > 0 && mentions(variable.name)) place(variable);
    }
    constexpr uint32_t kDynamicAlign = 1024;
    program_->shared_bytes = (program_->shared_bytes + kDynamicAlign - 1) / kDynamicAlign * kDynamicAlign;
    for (const Declaration& variable : symbols_.shared) {
      if (variable.bytes == 0) variables_[variable.name] = kSharedBase + program_->shared_bytes;
    }
  }

  void place(const Declaration& variable) {
    constexpr uint32_t kGap = 64;
    const uint32_t offset =
        (program_->shared_bytes + kGap + variable.align - 1) / variable.align * variable.align;
    program_->shared.push_back({offset, static_cast<uint32_t>(variable.bytes)});
    program_->shared_bytes = offset + static_cast<uint32_t>(variable.bytes);
    variables_[variable.name] = kSharedBase + offset;
  }

  bool mentions(const std::string& name) const {
    return std::any_of(kernel_.body.begin(), kernel_.body.end(), [&](const Statement& statement) {
      return statement.text.find(name) != std::string::npos;
    });
  }

  void instruction(std::string_view text) {
    Instruction decoded;
    decoded.text = text;
    decoded.at = at_->at;
    if (text[0] == '@') {
      const size_t end = text.find_first_of(" \t");
      decoded.guard_negated = text[1] == '!';
      const std::string_view name = text.substr(1 + decoded.guard_negated, end - 1 - decoded.guard_negated);
      const Register* guard = find_register(name);
      if (guard == nullptr || guard->bits != 1) unsupported("the guard is no predicate");
      decoded.guard = guard->slot;
      text = trim(text.substr(end));
    }
    const size_t end = std::min(text.find_first_of(" \t\r\n"), text.size());
    const std::string spelling(text.substr(0, end));
    const auto operands = split_operands(text.substr(end));
    const std::vector<Op>* rows = op_table().find(spelling);
    if (rows == nullptr) unsupported("unknown instruction " + spelling);
    decoded.ordering = ordering_of(spelling);
    decoded.space = space_of(spelling);
    std::string reason;
    for (const Op& op : *rows) {
      decoded.op = &op;
      decoded.operands.clear();
      reason = match(op.operands, operands, decoded);
      if (reason.empty()) break;
    }
    if (!reason.empty()) unsupported(reason);
    decoded.is_move = spelling.starts_with("mov.") && decoded.operands.size() == 2;
    decoded.is_wgmma = spelling.starts_with("wgmma.mma_async");
    program_->has_wgmma = program_->has_wgmma || decoded.is_wgmma;
    program_->code.push_back(std::move(decoded));
  }

  /// Reads the operands as `letters` declare them; returns what is wrong, or nothing.
  std::string match(std::string_view letters, const std::vector<std::string>& texts, Instruction& decoded) {
    size_t used = 0;
    bool optional = false;
    for (size_t i = 0; i < letters.size(); ++i) {
      if (letters[i] == '?') {
        optional = true;
        continue;
      }
      if (used == texts.size()) return optional ? "" : "too few operands";
      const std::string& text = texts[used++];
      if (letters[i] == '(') {
        const size_t close = letters.find(')', i);
        if (!text.starts_with('{')) return "a vector was expected: " + text;
        const auto parts = split_operands(std::string_view(text).substr(1, text.rfind('}') - 1));
        if (parts.size() != close - i - 1) return "wrong number of elements: " + text;
        for (size_t part = 0; part < parts.size(); ++part) {
          const std::string reason = operand(letters[i + 1 + part], parts[part], decoded);
          if (!reason.empty()) return reason;
        }
        i = close;
      } else if (letters[i] == '[') {
        const size_t close = letters.find(']', i);
        if (!text.starts_with('[')) return "brackets were expected: " + text;
        const auto parts = split_operands(std::string_view(text).substr(1, text.rfind(']') - 1));
        const std::string reason = match(letters.substr(i + 1, close - i - 1), parts, decoded);
        if (!reason.empty()) return reason;
        i = close;
      } else if (i + 2 < letters.size() && letters[i + 1] == '|') {
        const size_t bar = text.find('|');
        std::string reason = operand(letters[i], trim(text.substr(0, bar)), decoded);
        if (reason.empty()) {
          reason = bar == std::string::npos ? operand(letters[i + 2], "_", decoded)
                                            : operand(letters[i + 2], trim(text.substr(bar + 1)), decoded);
        }
        if (!reason.empty()) return reason;
        i += 2;
      } else {
        const std::string reason = operand(letters[i], text, decoded);
        if (!reason.empty()) return reason;
      }
    }
    return used == texts.size() ? "" : "too many operands";
  }

  std::string operand(char letter, std::string_view text, Instruction& decoded) {
    if (letter == 't') {
      Jump jump{here(), std::string(text), {}};
      for (const Scope& scope : scopes_) jump.scopes.push_back(scope.id);
      jumps_.push_back(std::move(jump));
      return "";
    }
    Operand result;
    if (letter == 'a') {
      if (!text.starts_with('[')) return fmt::format("an address was expected: {}", text);
      text = trim(text.substr(1, text.rfind(']') - 1));
      const size_t sign = text.find_first_of("+-", 1);
      if (sign != text.npos) {
        const std::string offset(trim(text.substr(sign + (text[sign] == '+'))));
        result.offset = std::strtoll(offset.c_str(), nullptr, 0);
        text = trim(text.substr(0, sign));
      }
    }
    const bool written = letter >= 'A' && letter <= 'Z';
    result.is_written = written;
    if (text.starts_with('!')) {
      result.negated = true;
      text = text.substr(1);
    }
    const uint8_t wanted = letter_bits(letter);
    if (text == "_" && written) {
      result.bits = wanted;
    } else if (const Register* found = find_register(text)) {
      result.slot = found->slot;
      result.bits = found->bits;
    } else if (written) {
      return fmt::format("no register {}", text);
    } else if (!value(text, letter == 'a' ? 64 : wanted == 0 ? 64 : wanted, result)) {
      return fmt::format("unknown operand {}", text);
    }
    if (wanted != 0 && result.bits != wanted) {
      return fmt::format("{} has {} bits, not {}", text, result.bits, wanted);
    }
    if (result.negated && wanted != 1) return fmt::format("!{} is no predicate", text);
    if (letter == 'a' && result.bits < 32) return fmt::format("[{}] is no address", text);
    decoded.operands.push_back(result);
    return "";
  }

  const Register* find_register(std::string_view name) const {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      const auto found = scope->registers.find(name);
      if (found != scope->registers.end()) return &found->second;
    }
    return nullptr;
  }

  /// A special register, literal or variable. Returns whether there is such a thing.
  bool value(std::string_view text, uint8_t bits, Operand& result) {
    if (const auto special = find_special(text)) {
      const auto [slot, fresh] = special_slots_.try_emplace(*special, program_->slots);
      if (fresh) program_->specials.emplace_back(program_->slots++, *special);
      result.slot = slot->second;
      result.bits = 32;
      return true;
    }
    uint64_t number = 0;
    if (!literal(text, bits, number) && !variable(text, number)) return false;
    if (bits < 64) number &= (1ull << bits) - 1;
    const auto [slot, fresh] = constant_slots_.try_emplace({bits, number}, program_->slots);
    if (fresh) program_->constants.push_back({program_->slots++, bits, number});
    result.slot = slot->second;
    result.bits = bits;
    return true;
  }

  static bool literal(std::string_view text, uint8_t bits, uint64_t& number) {
    const std::string word(text);
    if (word.empty() || (!std::isdigit(static_cast<unsigned char>(word[0])) && word[0] != '-')) return false;
    const bool is_hex_float =
        word[0] == '0' && word.size() > 2 && std::string("fFdD").find(word[1]) != std::string::npos;
    char* end = nullptr;
    if (word.find('.') != std::string::npos) {
      const double value = std::strtod(word.c_str(), &end);
      number =
          bits == 32 ? std::bit_cast<uint32_t>(static_cast<float>(value)) : std::bit_cast<uint64_t>(value);
    } else if (is_hex_float) {
      number = std::strtoull(word.c_str() + 2, &end, 16);
    } else if (word[0] == '-') {
      number = static_cast<uint64_t>(std::strtoll(word.c_str(), &end, 0));
    } else {
      number = std::strtoull(word.c_str(), &end, 0);
    }
    return *end == '\0' || std::string_view(end) == "U";
  }

  bool variable(std::string_view text, uint64_t& number) {
    const std::string name(text);
    if (const auto own = variables_.find(name); own != variables_.end()) {
      number = own->second;
    } else if (const auto outside = symbols_.addresses.find(name); outside != symbols_.addresses.end()) {
      number = outside->second;
    } else {
      return false;
    }
    return true;
  }

  const Symbols& symbols_;
  const KernelText& kernel_;
  std::unique_ptr<Program> program_;
  const Statement* at_ = nullptr;
  std::vector<Scope> scopes_;
  int next_scope_ = 0;
  std::map<std::pair<int, std::string>, uint32_t> labels_;
  std::map<std::string, uint64_t> variables_;
  std::vector<Jump> jumps_;
  std::map<Special, int> special_slots_;
  std::map<std::pair<uint8_t, uint64_t>, int> constant_slots_;
};

}  // namespace

std::unique_ptr<Program> decode(const ModuleText& module, const KernelText& kernel, const Symbols& symbols) {
  return Decoder(module, kernel, symbols).run();
}

std::string Program::where(const Instruction& instruction) const {
  const auto name = [&](int file) {
    const auto found = files.find(file);
    return found == files.end() ? std::string("?") : found->second;
  };
  const SourceLine& at = instruction.at;
  std::string text = fmt::format("{}:{}", name(at.file), at.line);
  if (at.caller_line > 0) text += fmt::format(" (from {}:{})", name(at.caller_file), at.caller_line);
  return text + " `" + instruction.text + "`";
}

}  // namespace prospect::emulator
