#pragma once

#include <fmt/format.h>

#include <cstring>
#include <string>
#include <vector>

#include "tests/emulator/decode.h"
#include "tests/emulator/fault.h"
#include "tests/emulator/op_coverage.h"
#include "tests/emulator/schedule.h"

namespace prospect::emulator {

/// Runs a kernel written in PTX on arrays of 64-bit words, without a runtime.
class PtxHarness {
 public:
  Options options;
  std::vector<InstructionRequests> requests;  ///< of the last run
  Traffic traffic;
  std::vector<Launch::Executions> executed;
  uint64_t blocks_run = 0;
  bool words_written = true;  ///< whether the checker takes `words` for written
  uint32_t cluster = 1;       ///< blocks of a cluster

  /// `body` finds the addresses of `words` in %out and of `inputs` in %in, and registers %p0-7, %h0-7,
  /// %w0-15, %d0-7. Returns what stands in `words` afterwards.
  std::vector<uint64_t> run(const std::string& body, std::vector<uint64_t> words,
                            const std::vector<uint64_t>& inputs, uint32_t threads, uint32_t blocks = 1,
                            uint32_t dynamic_shared = 0) {
    const std::string text = fmt::format(R"(.version 9.0
.target sm_80
.address_size 64
.extern .shared .align 16 .b8 dynamic[];
.visible .entry kernel(.param .u64 p_out, .param .u64 p_in)
{{
.reg .pred %p<8>;
.reg .b16 %h<8>;
.reg .b32 %w<16>;
.reg .b64 %d<8>;
.reg .b64 %out, %in;
ld.param.u64 %out, [p_out];
ld.param.u64 %in, [p_in];
.loc 1 7 0
{}
ret;
}}
.file 1 "folder/test.cu"
)",
                                         body);
    const ModuleText module = read_module(text);
    Symbols symbols;
    for (const std::string& variable : module.variables) symbols.shared.push_back(read_declaration(variable));
    const auto program = decode(module, module.kernels.at(0), symbols);
    void* out = memory_.allocate(words.size() * 8);
    void* in = memory_.allocate(inputs.size() * 8);
    std::memcpy(out, words.data(), words.size() * 8);
    std::memcpy(in, inputs.data(), inputs.size() * 8);
    Launch launch{*program, {blocks}, {threads}, dynamic_shared, std::vector<std::byte>(16),
                  memory_,  options,  {}};
    std::memcpy(launch.parameters.data(), &out, 8);
    std::memcpy(launch.parameters.data() + 8, &in, 8);
    if (options.check) {
      launch.checker = &checker_;
      if (words_written) checker_.note_host_write(reinterpret_cast<uint64_t>(out), words.size() * 8);
      checker_.note_host_write(reinterpret_cast<uint64_t>(in), inputs.size() * 8);
    }
    launch.cluster = {cluster};
    run_and_note(launch);
    requests = launch.requests;
    traffic = launch.traffic;
    executed = launch.executed;
    blocks_run = launch.blocks_run;
    std::memcpy(words.data(), out, words.size() * 8);
    memory_.release(out);
    memory_.release(in);
    return words;
  }

  /// The text of the Fault or Unsupported that the kernel ends with; empty without one.
  std::string fault(const std::string& body, uint32_t threads, uint32_t blocks = 1) {
    try {
      run(body, std::vector<uint64_t>(64), std::vector<uint64_t>(64), threads, blocks, 256);
      return "";
    } catch (const std::runtime_error& error) {
      return error.what();
    }
  }

 private:
  /// Rows count as run when some lane executed them, also those that end in a fault.
  static void run_and_note(Launch& launch) {
    const auto note = [&] {
      for (size_t i = 0; i < launch.executed.size(); ++i) {
        if (launch.executed[i].lanes > 0) OpCoverage::of_harness().note(*launch.program.code[i].op);
      }
    };
    try {
      emulator::run(launch);
    } catch (...) {
      note();
      throw;
    }
    note();
  }

  DeviceMemory memory_;
  Checker checker_{memory_};
};

}  // namespace prospect::emulator
