#pragma once

#include "engine/digest.h"

namespace prospect {

/// What the bits of a result depend on besides its inputs: every byte of this program, the C library's
/// mathematics, the kind of processor and the kernels that the matrix library chose for it. A product on one
/// thread gives the same bits wherever this is the same. Throws: Error(MissingInput) or Error(IoFailure)
/// where the system does not let the program read itself.
Hash128 program_digest();

}  // namespace prospect
