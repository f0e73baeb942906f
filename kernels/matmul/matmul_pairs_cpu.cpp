#include "kernels/matmul/matmul_pairs.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace prospect::kernels::cpu {

namespace {

constexpr int64_t kSide = 16;              // lines and pairs of a half block
constexpr int64_t kWords = kSide * kSide;  // in it
constexpr int64_t kTerms = 2 * kSide;

/// words[i] = the pair of first[i] and second[i].
void interleave(uint32_t* words, const bf16* first, const bf16* second) {
  for (int64_t i = 0; i < kSide; ++i) words[i] = first[i].bits | uint32_t{second[i].bits} << 16;
}

/// target[c][r] = the word at source[r][c], of `stride` bytes a row.
void transpose_words(uint32_t* target, const void* source, int64_t stride) {
  constexpr int64_t kWidth = kLanes<float>;
  for (int64_t r = 0; r < kSide; r += kWidth) {
    const auto* from = static_cast<const std::byte*>(source) + r * stride;
#pragma GCC unroll 2
    for (int64_t c = 0; c < kSide; c += kWidth) {
      Vector<float> square[kWidth];  // moved about as they are
#pragma GCC unroll 8
      for (int64_t i = 0; i < kWidth; ++i) {
        std::memcpy(&square[i], from + i * stride + c * int64_t{sizeof(uint32_t)}, sizeof square[i]);
      }
      transpose_square(square);
#pragma GCC unroll 8
      for (int64_t i = 0; i < kWidth; ++i) {
        std::memcpy(target + (c + i) * kSide + r, &square[i], sizeof square[i]);
      }
    }
  }
}

/// kSide lines of kTerms terms: words[line][pair], or words[pair][line] if `across`.
void pack_whole(uint32_t* words, const Lines<bf16>& lines, bool across) {
  constexpr int64_t kRowBytes = kSide * sizeof(uint32_t);
  if (lines.term_stride == 1) {  // a line's terms are words as they lie
    const int64_t stride = lines.line_stride * int64_t{sizeof(bf16)};
    if (across) return transpose_words(words, lines.data, stride);
    for (int64_t line = 0; line < kSide; ++line)
      std::memcpy(words + line * kSide, lines.at(line, 0), kRowBytes);
    return;
  }
  alignas(64) uint32_t pairs[kWords];
  uint32_t* to = across ? words : pairs;
  for (int64_t pair = 0; pair < kSide; ++pair) {
    interleave(to + pair * kSide, lines.at(0, 2 * pair), lines.at(0, 2 * pair + 1));
  }
  if (!across) transpose_words(words, pairs, kRowBytes);
}

/// The same for `count` lines of `depth` terms, either of which may be fewer, or none.
void pack_half(uint32_t* words, const Lines<bf16>& lines, int64_t count, int64_t depth, bool across) {
  if (count >= kSide && depth >= kTerms) return pack_whole(words, lines, across);
  bf16 whole[kSide * kTerms] = {};
  const bool side_by_side = lines.term_stride == 1;
  for (int64_t line = 0; line < std::min(count, kSide); ++line) {
    for (int64_t term = 0; term < std::min(depth, kTerms); ++term) {
      whole[side_by_side ? line * kTerms + term : term * kSide + line] = *lines.at(line, term);
    }
  }
  pack_whole(words, {whole, side_by_side ? kTerms : 1, side_by_side ? 1 : kSide}, across);
}

/// A panel: its blocks one after another.
void pack_blocks(uint32_t* packed, const Lines<bf16>& lines, int64_t count, int64_t depth, bool across) {
  for (const int64_t line : {int64_t{0}, kSide}) {
    uint32_t* half = packed + line * kSide;
    for (int64_t term = 0; term < depth; term += kTerms) {
      pack_half(half, lines.from(line, term), count - line, depth - term, across);
      half += 2 * kWords;
    }
  }
}

}  // namespace

void PairTile::pack_rows(uint32_t* packed, const Lines<bf16>& lines, int64_t count, int64_t depth) {
  for (int64_t line = 0; line < count; line += kRows) {
    pack_blocks(packed + packed_count(line, depth), lines.from(line, 0), count - line, depth, false);
  }
}

void PairTile::pack_columns(uint32_t* packed, const Lines<bf16>& lines, int64_t count, int64_t depth) {
  pack_blocks(packed, lines, count, depth, true);
}

#ifdef __x86_64__
namespace {

/// What the sums of a tile begin with.
void begin_rows(const Destination<float>& to) {
  if (to.add && !to.bias) return;
  for (int64_t row = 0; row < PairTile::kRows; ++row) {
    float* y = to.y + row * to.ldy;
    for (int64_t c = 0; c < PairTile::kColumns; ++c) y[c] = (to.add ? y[c] : 0) + (to.bias ? to.bias[c] : 0);
  }
}

struct Features {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  explicit Features(unsigned leaf) { __get_cpuid_count(7, leaf, &eax, &ebx, &ecx, &edx); }
};

/// What AMX calls a palette: every tile register 16 rows of 64 bytes.
struct alignas(64) TileShape {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

[[gnu::target("amx-tile")]] void shape_registers() {
  static constexpr TileShape kShape;  // in memory: GCC's intrinsic does not say that it reads all of it
  _tile_loadconfig(&kShape);
}

[[gnu::target("amx-tile")]] void release_registers() {
  _tile_release();
}

}  // namespace

bool AmxTile::usable() {
  static const bool granted = [] {
    constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24;
    constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM of Linux 5.16
    const unsigned has = Features(0).edx;
    return (has & kBf16) && (has & kTile) && __builtin_cpu_supports("avx512f") &&
           syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  }();
  return granted;
}

AmxTile::Scope::Scope() {
  shape_registers();
}

AmxTile::Scope::~Scope() {
  release_registers();
}

[[gnu::target("amx-tile,amx-bf16")]] void AmxTile::multiply(const uint32_t* a, const Panel<uint32_t>& b,
                                                            int64_t depth, const Destination<float>& to) {
  constexpr int kStride = kSide * sizeof(uint32_t);
  const int64_t y_stride = to.ldy * int64_t{sizeof(float)};
  float *upper = to.y, *lower = to.y + kSide * to.ldy;
  if (to.add || to.bias) {
    begin_rows(to);
    _tile_loadd(0, upper, y_stride);
    _tile_loadd(1, upper + kSide, y_stride);
    _tile_loadd(2, lower, y_stride);
    _tile_loadd(3, lower + kSide, y_stride);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  const uint32_t* columns = b.data;
  for (int64_t term = 0; term < depth; term += kTerms) {
    _tile_loadd(4, a, kStride);
    _tile_loadd(6, columns, kStride);
    _tile_loadd(7, columns + kWords, kStride);
    _tile_loadd(5, a + kWords, kStride);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    a += 2 * kWords;
    columns += 2 * kWords;
  }
  _tile_stored(0, upper, y_stride);
  _tile_stored(1, upper + kSide, y_stride);
  _tile_stored(2, lower, y_stride);
  _tile_stored(3, lower + kSide, y_stride);
}

bool Avx512PairTile::usable() {
  static const bool has = __builtin_cpu_supports("avx512f") && (Features(1).eax & 1u << 5);
  return has;
}

[[gnu::target("avx512f,avx512bf16")]] void Avx512PairTile::multiply(const uint32_t* a,
                                                                    const Panel<uint32_t>& b, int64_t depth,
                                                                    const Destination<float>& to) {
  begin_rows(to);
  for (const int64_t half : {0, 1}) {
    for (const int64_t side : {0, 1}) {
      float* y = to.y + half * kSide * to.ldy + side * kSide;
      __m512 sums[kSide];
#pragma GCC unroll 16
      for (int64_t row = 0; row < kSide; ++row) sums[row] = _mm512_loadu_ps(y + row * to.ldy);
      for (int64_t block = 0; block < parts(depth, kTerms); ++block) {
        const uint32_t *rows = a + (2 * block + half) * kWords, *pairs = b.data + (2 * block + side) * kWords;
        for (int64_t pair = 0; pair < kSide; ++pair) {
          const auto columns = reinterpret_cast<__m512bh>(_mm512_load_si512(pairs + pair * kSide));
#pragma GCC unroll 16
          for (int64_t row = 0; row < kSide; ++row) {
            const __m512i word = _mm512_set1_epi32(static_cast<int>(rows[row * kSide + pair]));
            sums[row] = _mm512_dpbf16_ps(sums[row], reinterpret_cast<__m512bh>(word), columns);
          }
        }
      }
#pragma GCC unroll 16
      for (int64_t row = 0; row < kSide; ++row) _mm512_storeu_ps(y + row * to.ldy, sums[row]);
    }
  }
}
#else
bool AmxTile::usable() {
  return false;
}
AmxTile::Scope::Scope() = default;
AmxTile::Scope::~Scope() = default;
void AmxTile::multiply(const uint32_t*, const Panel<uint32_t>&, int64_t, const Destination<float>&) {}
bool Avx512PairTile::usable() {
  return false;
}
void Avx512PairTile::multiply(const uint32_t*, const Panel<uint32_t>&, int64_t, const Destination<float>&) {}
#endif

}  // namespace prospect::kernels::cpu
