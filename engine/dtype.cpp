#include "engine/dtype.h"

namespace prospect {

int64_t dtype_bytes(DType dtype) {
  switch (dtype) {
    case DType::F32:
    case DType::I32:
      return 4;
    case DType::BF16:
      return 2;
    case DType::F64:
      return 8;
  }
  fail(ExitCode::Bug, "dtype_bytes: unknown dtype");
}

std::string_view dtype_name(DType dtype) {
  switch (dtype) {
    case DType::F32:
      return "f32";
    case DType::BF16:
      return "bf16";
    case DType::F64:
      return "f64";
    case DType::I32:
      return "i32";
  }
  return "unknown";
}

}  // namespace prospect
