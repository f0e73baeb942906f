#include "bench/cards/ptxas.h"

#include <cxxabi.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <sstream>

#include "bench/cards/kernel_work.h"
#include "kernels/common/error.h"
#include "tests/emulator/device.h"

namespace prospect::bench {
namespace {

constexpr std::array kArchitectures = {"sm_80", "sm_90a"};

/// The output of a command, or an Error that holds it.
std::string output_of(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) throw Error(ExitCode::IoFailure, "cannot run " + command);
  std::string output;
  std::array<char, 4096> some{};
  while (const size_t count = fread(some.data(), 1, some.size(), pipe)) output.append(some.data(), count);
  if (pclose(pipe) != 0) throw Error(ExitCode::IoFailure, command + ":\n" + output);
  return output;
}

/// A folder for one file, gone with the object.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text) {
    const int file = mkstemp(path_.data());
    if (file < 0) throw Error(ExitCode::IoFailure, "cannot make a file in /tmp");
    close(file);
    std::ofstream(path_) << text;
  }
  ~TemporaryFile() { unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/prospect-ptx-XXXXXX";
};

std::string target_of(const std::string& ptx) {
  std::smatch match;
  return std::regex_search(ptx, match, std::regex(R"(\n\.target (sm_\w+))")) ? match[1] : std::string();
}

std::string readable(const std::string& mangled) {
  int status = 0;
  char* name = abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status);
  const std::string result = status == 0 ? short_name(name) : mangled;
  std::free(name);
  return result;
}

}  // namespace

std::string compiler_version() {
  return "nvcc " PROSPECT_NVCC_VERSION;
}

PtxasReport read_ptxas_report(const std::string& text, const std::string& architecture) {
  const std::regex entry(R"(Compiling entry function '(\w+)')");
  const std::regex stack(R"((\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads)");
  const std::regex used(R"(Used (\d+) registers)"), shared(R"((\d+) bytes smem)");
  PtxasReport report{
      {{}, {"kernel", "architecture", "registers", "spill_stores", "spill_loads", "stack", "shared"}, {}},
      {}};
  std::istringstream lines(text);
  std::smatch match;
  std::string kernel, frame = "0", stores = "0", loads = "0";
  for (std::string line; std::getline(lines, line);) {
    if (line.find("(C75") != std::string::npos) report.serialised.push_back(architecture + ": " + line);
    if (std::regex_search(line, match, entry)) {
      kernel = readable(match[1]);
    } else if (std::regex_search(line, match, stack)) {
      frame = match[1], stores = match[2], loads = match[3];
    } else if (std::regex_search(line, match, used)) {
      const std::string registers = match[1];
      const std::string bytes = std::regex_search(line, match, shared) ? match[1].str() : "0";
      report.table.rows.push_back({kernel, architecture, registers, stores, loads, frame, bytes});
    }
  }
  return report;
}

PtxasReport run_ptxas() {
  std::vector<std::string> texts = emulator::Device::instance().ptx_texts();
  // Texts for the newer device come last and replace what the older ones gave.
  std::sort(texts.begin(), texts.end(),
            [](const std::string& a, const std::string& b) { return target_of(a) < target_of(b); });
  PtxasReport all;
  std::map<std::pair<std::string, std::string>, std::vector<std::string>> rows;
  for (const std::string& text : texts) {
    const TemporaryFile file(text);
    for (const std::string architecture : kArchitectures) {
      if (target_of(text) > architecture) continue;
      const std::string command =
          fmt::format("'{}' -v --gpu-name {} '{}' -o /dev/null", PROSPECT_PTXAS, architecture, file.path());
      PtxasReport report = read_ptxas_report(output_of(command), architecture);
      for (auto& row : report.table.rows) rows[{row[0], row[1]}] = row;
      std::move(report.serialised.begin(), report.serialised.end(), std::back_inserter(all.serialised));
      all.table.columns = report.table.columns;
    }
  }
  all.table.comments = {"# " + compiler_version()};
  for (const auto& [key, row] : rows) all.table.rows.push_back(row);
  return all;
}

std::vector<std::string> forbidden_spills(const Table& table, const Table& allowed) {
  std::vector<std::string> lines;
  for (const auto& row : table.rows) {
    const int bytes = std::stoi(row[3]) + std::stoi(row[4]);
    int most = 0;
    for (const auto& each : allowed.rows) {
      if (each[0] == row[0] && each[1] == row[1]) most = std::stoi(each[2]);
    }
    if (bytes > most) {
      lines.push_back(fmt::format("{}, {}: spills {} bytes, {} are allowed", row[0], row[1], bytes, most));
    }
  }
  return lines;
}

}  // namespace prospect::bench
