// cuda::matmul without a library: by the kernels of this folder.
#include "kernels/matmul/matmul.h"

namespace prospect::kernels::cuda {

struct MatmulLibrary::State {};

MatmulLibrary::MatmulLibrary() = default;
MatmulLibrary::~MatmulLibrary() = default;

template <class T, class Out>
void matmul(const Matmul<T, Out>& args, MatmulLibrary&, Stream stream) {
  matmul_tiled(args, stream);
}

int64_t matmul_scratch_bytes() {
  return 0;
}

template void matmul(const Matmul<float, float>&, MatmulLibrary&, Stream);
template void matmul(const Matmul<bf16, bf16>&, MatmulLibrary&, Stream);
template void matmul(const Matmul<bf16, float>&, MatmulLibrary&, Stream);

}  // namespace prospect::kernels::cuda
