#include "engine/program.h"

#include <gnu/libc-version.h>
#include <sys/auxv.h>

#include <array>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "engine/files.h"
#include "kernels/matmul/matmul.h"

namespace prospect {

namespace {

/// Family, model and features of the processor, by which libraries choose their kernels.
std::array<uint64_t, 6> processor_words() {
  std::array<uint64_t, 6> words{::getauxval(AT_HWCAP), ::getauxval(AT_HWCAP2)};
#if defined(__x86_64__)
  uint32_t a = 0, b = 0, c = 0, d = 0;
  __cpuid(1, a, b, c, d);  // b names the core that asks, so it is left out
  words[2] = a;
  words[3] = uint64_t{c} << 32 | d;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) != 0) {
    words[4] = uint64_t{b} << 32 | c;
    words[5] = d;
  }
#endif
  return words;
}

}  // namespace

Hash128 program_digest() {
  const MappedFile self("/proc/self/exe");
  const auto words = processor_words();
  return Digest()
      .add(self.bytes())
      .add(::gnu_get_libc_version())
      .add(std::as_bytes(std::span(words)))
      .add(kernels::cpu::matmul_backend())
      .value();
}

}  // namespace prospect
