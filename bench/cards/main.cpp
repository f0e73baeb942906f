// The tables of an operation's kernels, checked against those that are committed, or written anew:
//   layernorm_card check|update ptxas|card OP FOLDER
// FOLDER/OP.ptxas.tsv   what ptxas makes of the kernels
// FOLDER/OP.card.tsv    what the emulator counts, and predictions from it
// FOLDER/spills.tsv     spills that are allowed, each with a reason
// check exits 0 when all is as committed, 1 when not, 77 when another compiler made the tables. update says
// what is against the rules and writes nevertheless.
#include <fmt/format.h>

#include <string_view>

#include "bench/cards/card.h"
#include "bench/cards/ptxas.h"
#include "kernels/common/error.h"

namespace prospect::bench {
namespace {

constexpr int kFailed = 1, kSkipped = 77;
constexpr double kCardTolerance = 0.02;

struct Files {
  std::string op, folder;
  std::string ptxas() const { return folder + "/" + op + ".ptxas.tsv"; }
  std::string card() const { return folder + "/" + op + ".card.tsv"; }
  std::string spills() const { return folder + "/spills.tsv"; }
};

int print(const char* what, const std::vector<std::string>& lines) {
  if (lines.empty()) return 0;
  fmt::print("{}:\n", what);
  for (const std::string& line : lines) fmt::print("  {}\n", line);
  return kFailed;
}

int compare(const Table& fresh, const std::string& path, double tolerance, const Files& files) {
  const Table committed = Table::read(path);
  if (committed.comments != fresh.comments) {
    fmt::print("skipped: {} was made by another compiler ({})\n", path, committed.comments.back());
    return kSkipped;
  }
  const int result = print(path.c_str(), committed.differences(fresh, 2, tolerance));
  if (result != 0) {
    fmt::print(
        "Where the change is meant, write the tables anew and commit them with it:\n"
        "  cmake --build BUILD --target update_cards_{}\n",
        files.op);
  }
  return result;
}

int ptxas(bool is_update, const Files& files) {
  const PtxasReport report = run_ptxas();
  int result = print("products of a warp group wait for each other", report.serialised);
  result |= print("spills that bench/cards/spills.tsv does not allow",
                  forbidden_spills(report.table, Table::read(files.spills())));
  if (is_update) {
    report.table.write(files.ptxas());
    return 0;
  }
  return result != 0 ? result : compare(report.table, files.ptxas(), 0, files);
}

int card(bool is_update, const Files& files) {
  const CardReport report = make_card(cases(), Table::read(files.ptxas()));
  const int result = print("against the rules of bench/README.md", report.wasted);
  if (is_update) {
    report.table.write(files.card());
    return 0;
  }
  return result != 0 ? result : compare(report.table, files.card(), kCardTolerance, files);
}

int run(int argc, char** argv) {
  if (argc != 5) {
    fmt::print(stderr, "usage: {} check|update ptxas|card OP FOLDER\n", argv[0]);
    return static_cast<int>(ExitCode::Usage);
  }
  const bool is_update = std::string_view(argv[1]) == "update";
  const Files files{argv[3], argv[4]};
  return std::string_view(argv[2]) == "ptxas" ? ptxas(is_update, files) : card(is_update, files);
}

}  // namespace
}  // namespace prospect::bench

int main(int argc, char** argv) {
  try {
    return prospect::bench::run(argc, argv);
  } catch (const prospect::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return static_cast<int>(error.code());
  } catch (const std::runtime_error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return static_cast<int>(prospect::ExitCode::Bug);
  }
}
