#pragma once

#include <string>
#include <string_view>

namespace prospect {

/// A sentence as a terminal may see it, whatever it quotes from a file: control characters escaped, and the
/// middle left out of what is longer than 2000 bytes.
std::string one_line(std::string_view sentence);

}  // namespace prospect
