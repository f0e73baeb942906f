// What the project asks of the driver by name.
#include <cudaTypedefs.h>

#include <cstring>
#include <string_view>

#include "tests/emulator/runtime/status.h"
#include "tests/emulator/tensor_map.h"

using prospect::emulator::Element;
using prospect::emulator::finish;
using prospect::emulator::TensorMap;

namespace {

bool set_element(CUtensorMapDataType type, Element& element) {
  switch (type) {
    case CU_TENSOR_MAP_DATA_TYPE_UINT8:
      element = Element::Bytes1;
      return true;
    case CU_TENSOR_MAP_DATA_TYPE_UINT16:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT16:
      element = Element::Bytes2;
      return true;
    case CU_TENSOR_MAP_DATA_TYPE_BFLOAT16:
      element = Element::Bfloat16;
      return true;
    case CU_TENSOR_MAP_DATA_TYPE_UINT32:
    case CU_TENSOR_MAP_DATA_TYPE_INT32:
      element = Element::Unsigned32;
      return true;
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT32:
      element = Element::Float32;
      return true;
    case CU_TENSOR_MAP_DATA_TYPE_UINT64:
    case CU_TENSOR_MAP_DATA_TYPE_INT64:
      element = Element::Unsigned64;
      return true;
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT64:
      element = Element::Float64;
      return true;
    default:
      return false;
  }
}

bool set_swizzle(CUtensorMapSwizzle swizzle, uint8_t& bytes) {
  switch (swizzle) {
    case CU_TENSOR_MAP_SWIZZLE_NONE:
      bytes = 16;
      return true;
    case CU_TENSOR_MAP_SWIZZLE_32B:
      bytes = 32;
      return true;
    case CU_TENSOR_MAP_SWIZZLE_64B:
      bytes = 64;
      return true;
    case CU_TENSOR_MAP_SWIZZLE_128B:
      bytes = 128;
      return true;
    default:
      return false;
  }
}

/// cuTensorMapEncodeTiled, with the conditions that its documentation names; without interleaving, strides of
/// elements and NaNs outside.
CUresult encode_tiled(CUtensorMap* to, CUtensorMapDataType type, cuuint32_t rank, void* base,
                      const cuuint64_t* sizes, const cuuint64_t* strides, const cuuint32_t* box,
                      const cuuint32_t* element_strides, CUtensorMapInterleave interleave,
                      CUtensorMapSwizzle swizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill fill) {
  TensorMap map;
  if (interleave != CU_TENSOR_MAP_INTERLEAVE_NONE || fill != CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE ||
      !set_element(type, map.element) || !set_swizzle(swizzle, map.swizzle)) {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  const auto element = bytes_of(map.element);
  if (reinterpret_cast<uintptr_t>(to) % 64 != 0 || reinterpret_cast<uintptr_t>(base) % 16 != 0 || rank < 1 ||
      rank > 5) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  map.base = reinterpret_cast<uint64_t>(base);
  map.rank = static_cast<uint8_t>(rank);
  for (cuuint32_t d = 0; d < rank; ++d) {
    map.size[d] = sizes[d];
    map.box[d] = static_cast<uint16_t>(box[d]);
    map.stride[d] = d == 0 ? element : strides[d - 1];
    if (element_strides[d] != 1) return CUDA_ERROR_NOT_SUPPORTED;
    if (sizes[d] < 1 || sizes[d] > (1ull << 32) || box[d] < 1 || box[d] > 256)
      return CUDA_ERROR_INVALID_VALUE;
    if (d > 0 && (map.stride[d] % 16 != 0 || map.stride[d] >= (1ull << 40))) return CUDA_ERROR_INVALID_VALUE;
  }
  const cuuint32_t row = box[0] * element;
  if (row % 16 != 0 || (swizzle != CU_TENSOR_MAP_SWIZZLE_NONE && row > map.swizzle))
    return CUDA_ERROR_INVALID_VALUE;
  std::memset(to, 0, sizeof(*to));
  std::memcpy(to, &map, sizeof(map));
  return CUDA_SUCCESS;
}

}  // namespace

cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned,
                                             unsigned long long, cudaDriverEntryPointQueryResult* result) {
  const bool is_known = std::string_view(symbol) == "cuTensorMapEncodeTiled";
  *function = is_known ? reinterpret_cast<void*>(encode_tiled) : nullptr;
  if (result != nullptr) {
    *result = is_known ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  }
  return finish(cudaSuccess);
}
