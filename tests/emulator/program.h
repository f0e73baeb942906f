#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

/// A kernel decoded from PTX.
namespace prospect::emulator {

struct Warp;
struct Instruction;

using LaneMask = uint32_t;
inline constexpr int kLanes = 32;
inline constexpr LaneMask kAllLanes = 0xffffffffu;

/// What an instruction does to the lanes of a warp that execute it together.
using Handler = void (*)(Warp&, const Instruction&, LaneMask);

/// What becomes of a lane after the instruction.
enum class Flow : uint8_t {
  Next,    ///< goes on
  Poll,    ///< goes on; other warps get their turn when a loop reads the same again and again
  Branch,  ///< goes to the target
  Exit,
  Wait,  ///< stops; the handler resumes lanes (perhaps others too) when what they wait for has come
};

/// One row of the opcode table.
struct Op {
  std::string spelling;
  std::string operands;  ///< op_table.h explains the letters
  Handler run;
  Flow flow;
  int variant;  ///< tells apart what one handler does
};

/// A register, constant or special value: lane l of it lies in the warp's register file at slot, element l of
/// the operand's width. Predicates are one LaneMask.
struct Operand {
  int slot = 0;      ///< 0: nothing is stored or read there
  uint8_t bits = 0;  ///< 1 (predicate), 16, 32 or 64
  bool negated = false;
  bool is_written = false;
  int64_t offset = 0;  ///< of an address [register + offset]
};

struct SourceLine {
  int file = 0, line = 0;
  int caller_file = 0, caller_line = 0;  ///< where the function that holds the line was inlined; 0: nowhere
};

/// What the words .volatile, .relaxed, .acquire, .release, .acq_rel and the scope of a spelling say.
struct Ordering {
  bool is_strong = false;  ///< has any of them
  bool acquires = false, releases = false;
  bool is_of_block = false;  ///< .cta: orders nothing beyond the block
};

enum class Space : uint8_t { Generic, Global, Shared, SharedCluster, Local, Param };

struct Instruction {
  const Op* op = nullptr;
  Space space = Space::Generic;  ///< that the spelling names
  bool is_move = false;          ///< from register to register, as it is
  bool is_wgmma = false;         ///< wgmma.mma_async
  Ordering ordering{};
  int guard = -1;  ///< slot of the predicate of @p, -1: none
  bool guard_negated = false;
  uint32_t target = 0;
  std::vector<Operand> operands;
  std::string text;
  SourceLine at{};
};

enum class Special : uint8_t {
  TidX,
  TidY,
  TidZ,
  NtidX,
  NtidY,
  NtidZ,
  CtaidX,
  CtaidY,
  CtaidZ,
  NctaidX,
  NctaidY,
  NctaidZ,
  LaneId,
  WarpId,
  LaneMaskEq,
  LaneMaskLt,
  LaneMaskLe,
  LaneMaskGt,
  LaneMaskGe,
  DynamicSharedSize,
  GridWorkspaceHigh,  ///< %envreg1 and 2: where grid.sync() keeps its count
  GridWorkspaceLow,
  ClusterIdX,
  ClusterIdY,
  ClusterIdZ,
  ClusterCountX,
  ClusterCountY,
  ClusterCountZ,
  ClusterPlaceX,  ///< of the block in its cluster
  ClusterPlaceY,
  ClusterPlaceZ,
  ClusterSizeX,
  ClusterSizeY,
  ClusterSizeZ,
  ClusterRank,
  ClusterSize,
};

struct Constant {
  int slot;
  uint8_t bits;
  uint64_t value;
};

/// A stretch of shared memory that accesses must not leave.
struct SharedArray {
  uint32_t offset;
  uint32_t bytes;
};

struct Program {
  std::string kernel;
  std::vector<Instruction> code;
  std::map<int, std::string> files;
  int slots = 1;
  std::vector<Constant> constants;
  std::vector<std::pair<int, Special>> specials;  ///< slot, value; all 32 bits
  struct Parameter {
    size_t offset, bytes;
  };
  std::vector<Parameter> parameters;
  size_t parameter_bytes = 0;
  std::vector<SharedArray> shared;  ///< the static arrays
  uint32_t shared_bytes = 0;        ///< where dynamic shared memory begins
  size_t local_bytes = 0;           ///< of one thread
  unsigned max_threads = 1024;
  unsigned cluster[3] = {0, 0, 0};  ///< blocks that the kernel itself wants in a cluster; 0: none
  bool has_wgmma = false;

  /// "layernorm.cu:41 `add.f32 %f1, %f2, %f3`"
  std::string where(const Instruction& instruction) const;
};

// Addresses. Global addresses are the host's; the other spaces have windows in the generic space where no
// host address lies. A shared address is 32 bits: an offset, moved so that 0 is none, and from bit 24 on the
// rank of the block in its cluster, moved by 1: 0 is the block itself.
inline constexpr uint32_t kSharedBase = 0x400, kSharedRankShift = 24;
inline constexpr uint32_t kSharedMost = 227 << 10;
inline constexpr uint64_t kSharedWindow = 1ull << 56, kLocalWindow = 2ull << 56, kParamWindow = 3ull << 56;

}  // namespace prospect::emulator
