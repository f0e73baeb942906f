#include "tests/emulator/special.h"

#include "tests/emulator/block.h"

namespace prospect::emulator {
namespace {

const std::map<std::string, Special, std::less<>> kNames = {
    {"%tid.x", Special::TidX},
    {"%tid.y", Special::TidY},
    {"%tid.z", Special::TidZ},
    {"%ntid.x", Special::NtidX},
    {"%ntid.y", Special::NtidY},
    {"%ntid.z", Special::NtidZ},
    {"%ctaid.x", Special::CtaidX},
    {"%ctaid.y", Special::CtaidY},
    {"%ctaid.z", Special::CtaidZ},
    {"%nctaid.x", Special::NctaidX},
    {"%nctaid.y", Special::NctaidY},
    {"%nctaid.z", Special::NctaidZ},
    {"%laneid", Special::LaneId},
    {"%warpid", Special::WarpId},
    {"%lanemask_eq", Special::LaneMaskEq},
    {"%lanemask_lt", Special::LaneMaskLt},
    {"%lanemask_le", Special::LaneMaskLe},
    {"%lanemask_gt", Special::LaneMaskGt},
    {"%lanemask_ge", Special::LaneMaskGe},
    {"%dynamic_smem_size", Special::DynamicSharedSize},
    {"%envreg1", Special::GridWorkspaceHigh},
    {"%envreg2", Special::GridWorkspaceLow},
    {"%clusterid.x", Special::ClusterIdX},
    {"%clusterid.y", Special::ClusterIdY},
    {"%clusterid.z", Special::ClusterIdZ},
    {"%nclusterid.x", Special::ClusterCountX},
    {"%nclusterid.y", Special::ClusterCountY},
    {"%nclusterid.z", Special::ClusterCountZ},
    {"%cluster_ctaid.x", Special::ClusterPlaceX},
    {"%cluster_ctaid.y", Special::ClusterPlaceY},
    {"%cluster_ctaid.z", Special::ClusterPlaceZ},
    {"%cluster_nctaid.x", Special::ClusterSizeX},
    {"%cluster_nctaid.y", Special::ClusterSizeY},
    {"%cluster_nctaid.z", Special::ClusterSizeZ},
    {"%cluster_ctarank", Special::ClusterRank},
    {"%cluster_nctarank", Special::ClusterSize},
};

uint32_t cluster_value(const Block& block, Special special) {
  const Extent &size = block.launch.cluster, &grid = block.launch.grid, &place = block.place;
  switch (special) {
    case Special::ClusterIdX:
      return place.x / size.x;
    case Special::ClusterIdY:
      return place.y / size.y;
    case Special::ClusterIdZ:
      return place.z / size.z;
    case Special::ClusterCountX:
      return grid.x / size.x;
    case Special::ClusterCountY:
      return grid.y / size.y;
    case Special::ClusterCountZ:
      return grid.z / size.z;
    case Special::ClusterPlaceX:
      return place.x % size.x;
    case Special::ClusterPlaceY:
      return place.y % size.y;
    case Special::ClusterPlaceZ:
      return place.z % size.z;
    case Special::ClusterSizeX:
      return size.x;
    case Special::ClusterSizeY:
      return size.y;
    case Special::ClusterSizeZ:
      return size.z;
    case Special::ClusterRank:
      return block.rank;
    default:
      return static_cast<uint32_t>(size.count());
  }
}

}  // namespace

std::optional<Special> find_special(std::string_view name) {
  const auto found = kNames.find(name);
  return found == kNames.end() ? std::nullopt : std::optional(found->second);
}

uint32_t special_value(const Warp& warp, Special special, uint32_t lane) {
  const Launch& launch = warp.block->launch;
  const Extent thread = launch.block.place(static_cast<uint64_t>(warp.index) * kLanes + lane);
  switch (special) {
    case Special::TidX:
      return thread.x;
    case Special::TidY:
      return thread.y;
    case Special::TidZ:
      return thread.z;
    case Special::NtidX:
      return launch.block.x;
    case Special::NtidY:
      return launch.block.y;
    case Special::NtidZ:
      return launch.block.z;
    case Special::CtaidX:
      return warp.block->place.x;
    case Special::CtaidY:
      return warp.block->place.y;
    case Special::CtaidZ:
      return warp.block->place.z;
    case Special::NctaidX:
      return launch.grid.x;
    case Special::NctaidY:
      return launch.grid.y;
    case Special::NctaidZ:
      return launch.grid.z;
    case Special::LaneId:
      return lane;
    case Special::WarpId:
      return static_cast<uint32_t>(warp.index);
    case Special::LaneMaskEq:
      return 1u << lane;
    case Special::LaneMaskLt:
      return (1u << lane) - 1;
    case Special::LaneMaskLe:
      return (2u << lane) - 1;
    case Special::LaneMaskGt:
      return ~((2u << lane) - 1);
    case Special::LaneMaskGe:
      return ~((1u << lane) - 1);
    case Special::DynamicSharedSize:
      return launch.dynamic_shared;
    case Special::GridWorkspaceHigh:
      return static_cast<uint32_t>(launch.grid_workspace >> 32);
    case Special::GridWorkspaceLow:
      return static_cast<uint32_t>(launch.grid_workspace);
    default:
      return cluster_value(*warp.block, special);
  }
}

}  // namespace prospect::emulator
