#pragma once

#include <memory>

#include "tests/emulator/program.h"
#include "tests/emulator/ptx_text.h"

namespace prospect::emulator {

/// ".shared .align 4 .b8 name[256]" taken apart. `initial`: the words after '=', without braces.
struct Declaration {
  std::string space, name;
  bool external = false;
  uint32_t align = 1, element_bytes = 1;
  uint64_t bytes = 0;  ///< 0: name[]
  std::vector<std::string> initial;
};
Declaration read_declaration(std::string_view text);

/// Variables outside kernels.
struct Symbols {
  std::map<std::string, uint64_t> addresses;  ///< of .global and .const ones
  std::vector<Declaration> shared;            ///< bytes 0: the array that the launch sizes
};

/// Throws Unsupported, with the text and source line of the instruction that is unknown.
std::unique_ptr<Program> decode(const ModuleText& module, const KernelText& kernel, const Symbols& symbols);

}  // namespace prospect::emulator
