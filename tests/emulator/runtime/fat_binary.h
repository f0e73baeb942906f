#pragma once

#include <string>
#include <vector>

namespace prospect::emulator {

/// The PTX that nvcc embedded in an object. `wrapper`: what its host code passes to __cudaRegisterFatBinary.
/// Compressed texts and machine code are left out. Ends the program when the wrapper is none.
std::vector<std::string> ptx_texts(const void* wrapper);

}  // namespace prospect::emulator
