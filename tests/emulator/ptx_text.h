#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/emulator/program.h"

/// The shape of a PTX file, without the meaning of its instructions.
namespace prospect::emulator {

struct Statement {
  enum class Kind { Text, Label, Open, Close } kind;
  std::string text;  ///< instruction or directive without ';', or the label's name
  SourceLine at{};
};

struct KernelText {
  std::string name, parameters, attributes;
  std::vector<Statement> body;
};

struct ModuleText {
  std::vector<KernelText> kernels;
  std::vector<std::string> variables;  ///< .shared, .global and .const declarations outside kernels
  std::map<int, std::string> files;    ///< file names without folders, by number
};

/// 90 of ".target sm_90a": the device that a PTX text is for. Throws Unsupported.
int ptx_target(std::string_view ptx);

/// Throws Unsupported.
ModuleText read_module(std::string_view ptx);

std::string_view trim(std::string_view text);
/// Parts between commas that stand outside of brackets, trimmed.
std::vector<std::string> split_operands(std::string_view text);
/// The words of a text.
std::vector<std::string> split_words(std::string_view text);

}  // namespace prospect::emulator
