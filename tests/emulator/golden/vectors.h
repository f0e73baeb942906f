#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace prospect::emulator::golden {

using Words = std::vector<uint32_t>;

/// What an instruction made of its operands on a device: registers and memory as words of 32 bits, in the
/// order that its case (cases.h) gives them.
struct Vector {
  std::string name;    ///< of the case
  std::string device;  ///< that it was recorded on
  Words input, output;
};

/// A text: lines "case NAME", "device NAME", "input COUNT" and "output COUNT", each of the last two followed
/// by its words in hexadecimal; WORD*N stands for N equal ones. Throws: Error(IoFailure).
void write_vector(const std::filesystem::path& path, const Vector& vector);
/// Throws: Error(MissingInput), Error(BadData) with the line.
Vector read_vector(const std::filesystem::path& path);

/// FOLDER/NAME.golden
std::filesystem::path path_of(const std::filesystem::path& folder, const std::string& name);

}  // namespace prospect::emulator::golden
