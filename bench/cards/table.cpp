#include "bench/cards/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>

#include "kernels/common/error.h"

namespace prospect::bench {
namespace {

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> cells;
  for (size_t begin = 0; begin <= line.size();) {
    const size_t end = std::min(line.find('\t', begin), line.size());
    cells.push_back(line.substr(begin, end - begin));
    begin = end + 1;
  }
  return cells;
}

bool is_close(const std::string& a, const std::string& b, double tolerance) {
  if (a == b) return true;
  char *end_a = nullptr, *end_b = nullptr;
  const double x = std::strtod(a.c_str(), &end_a), y = std::strtod(b.c_str(), &end_b);
  if (a.empty() || b.empty() || *end_a != '\0' || *end_b != '\0') return false;
  return std::fabs(x - y) <= tolerance * std::max(std::fabs(x), std::fabs(y));
}

std::string key_of(const std::vector<std::string>& row, size_t keys) {
  return fmt::format("{}", fmt::join(row.begin(), row.begin() + static_cast<ptrdiff_t>(keys), ", "));
}

}  // namespace

Table Table::read(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw Error(ExitCode::MissingInput, path + " is missing");
  Table table;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (table.columns.empty() && line.starts_with('#')) {
      table.comments.push_back(line);
    } else if (table.columns.empty()) {
      table.columns = split(line);
    } else {
      table.rows.push_back(split(line));
      if (table.rows.back().size() != table.columns.size()) {
        throw Error(ExitCode::BadData, fmt::format("{}:{} has {} cells, not {}", path, number,
                                                   table.rows.back().size(), table.columns.size()));
      }
    }
  }
  return table;
}

void Table::write(const std::string& path) const {
  std::ofstream file(path);
  for (const std::string& comment : comments) file << comment << '\n';
  file << fmt::format("{}\n", fmt::join(columns, "\t"));
  for (const auto& row : rows) file << fmt::format("{}\n", fmt::join(row, "\t"));
  file.close();
  if (!file) throw Error(ExitCode::IoFailure, path + " cannot be written");
}

std::vector<std::string> Table::differences(const Table& fresh, size_t keys, double tolerance) const {
  std::vector<std::string> lines;
  if (columns != fresh.columns) return {"other columns"};
  std::map<std::string, const std::vector<std::string>*> before;
  for (const auto& row : rows) before[key_of(row, keys)] = &row;
  for (const auto& row : fresh.rows) {
    const std::string key = key_of(row, keys);
    const auto found = before.find(key);
    if (found == before.end()) {
      lines.push_back(key + ": not in the table");
      continue;
    }
    for (size_t i = keys; i < row.size(); ++i) {
      const std::string& old = (*found->second)[i];
      if (!is_close(old, row[i], tolerance)) {
        lines.push_back(fmt::format("{}: {} was {}, is {}", key, columns[i], old, row[i]));
      }
    }
    before.erase(found);
  }
  for (const auto& [key, row] : before) lines.push_back(key + ": no longer there");
  return lines;
}

}  // namespace prospect::bench
