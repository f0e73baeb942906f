#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <set>

#include "kernels/common/error.h"
#include "tests/emulator/golden/cases.h"

namespace prospect::emulator::golden {
namespace {

constexpr const char* kExtension = ".golden";
constexpr size_t kMostShown = 4;

/// What approximations that flush make a zero of.
bool is_tiny(float a) {
  return std::fabs(a) < FLT_MIN;
}

bool agree(uint32_t recorded, uint32_t found, const Tolerance& tolerance) {
  if (recorded == found) return true;
  if (tolerance.agreement == Agreement::Bits) return false;
  const auto a = std::bit_cast<float>(recorded), b = std::bit_cast<float>(found);
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  if (tolerance.agreement == Agreement::Numbers) return false;
  if (std::isinf(a) || std::isinf(b)) return false;
  const double apart = std::fabs(static_cast<double>(a) - static_cast<double>(b));
  if (tolerance.agreement == Agreement::Absolute) return apart <= tolerance.amount;
  return apart <= std::max(tolerance.amount * std::fabs(static_cast<double>(a)), tolerance.least) ||
         (is_tiny(a) && is_tiny(b));
}

/// Code for 9.0a runs on 9.0 alone, code for 8.0 on all newer devices.
bool runs_on(const Case& each, int capability) {
  return each.capability == 90 ? capability == 90 : each.capability <= capability;
}

std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  if (!std::filesystem::exists(folder)) return files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == kExtension) files.push_back(entry.path());
  }
  return files;
}

/// Empty when what is recorded is what this process computes.
std::string difference_from(const std::filesystem::path& path, const Case& each) {
  try {
    const Vector recorded = read_vector(path);
    if (recorded.name != each.name) return "is of case " + recorded.name;
    return difference(recorded.output, each.run(recorded.input), each.tolerance);
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

std::string difference(const Words& recorded, const Words& found, const Tolerance& tolerance) {
  if (recorded.size() != found.size()) {
    return fmt::format("{} words were recorded, {} found", recorded.size(), found.size());
  }
  std::string text;
  size_t wrong = 0;
  for (size_t i = 0; i < recorded.size(); ++i) {
    if (agree(recorded[i], found[i], tolerance)) continue;
    if (++wrong > kMostShown) continue;
    text +=
        fmt::format("{}word {} was {:08x} ({:g}) on the device, is {:08x} ({:g})", wrong == 1 ? "" : "; ", i,
                    recorded[i], std::bit_cast<float>(recorded[i]), found[i], std::bit_cast<float>(found[i]));
  }
  if (wrong > kMostShown) text += fmt::format("; and {} more", wrong - kMostShown);
  return text;
}

int record(const std::filesystem::path& folder, const std::string& device, int capability) {
  int recorded = 0;
  for (const Case& each : cases()) {
    if (!runs_on(each, capability)) continue;
    write_vector(path_of(folder, each.name), {each.name, device, each.input, each.run(each.input)});
    ++recorded;
  }
  return recorded;
}

Comparison compare_with(const std::filesystem::path& folder) {
  Comparison result;
  std::set<std::string> known;
  for (const Case& each : cases()) {
    known.insert(each.name);
    const auto path = path_of(folder, each.name);
    if (!std::filesystem::exists(path)) {
      result.missing.push_back(each.name);
      continue;
    }
    const std::string reason = difference_from(path, each);
    if (reason.empty()) {
      ++result.agree;
    } else {
      result.wrong.push_back(each.name + ": " + reason);
    }
  }
  for (const auto& path : files_in(folder)) {
    if (!known.contains(path.stem().string())) {
      result.wrong.push_back(path.stem().string() + ": is recorded, and no case");
    }
  }
  return result;
}

}  // namespace prospect::emulator::golden
