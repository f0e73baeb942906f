#pragma once

#include <optional>

#include "tests/emulator/warp.h"

namespace prospect::emulator {

/// The special register of a name such as "%tid.x".
std::optional<Special> find_special(std::string_view name);
uint32_t special_value(const Warp& warp, Special special, uint32_t lane);

}  // namespace prospect::emulator
