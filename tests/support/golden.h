#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace prospect::test {

/// The lines of tests/golden/<path>: a name, then its values. A name that is absent has none.
inline std::map<std::string, std::vector<double>> read_golden(const std::string& path) {
  std::map<std::string, std::vector<double>> named;
  std::ifstream file(std::string(PROSPECT_SOURCE_DIR "/tests/golden/") + path);
  EXPECT_TRUE(file.is_open()) << path;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    for (double value; words >> value;) named[name].push_back(value);
  }
  return named;
}

}  // namespace prospect::test
