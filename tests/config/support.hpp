#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/config/config.hpp"
#include "support/temporary_directory.hpp"
#include "support/text.hpp"

namespace millrace::config {

/// A config file in a directory of its own, which is the working directory meanwhile.
class ConfigFile : public testing::Test {
 protected:
  ConfigFile() : before_(std::filesystem::current_path()) { std::filesystem::current_path(directory_.path()); }
  ~ConfigFile() override { std::filesystem::current_path(before_); }

  static std::filesystem::path write(std::string_view text, std::string_view name = "millrace.yaml") {
    std::filesystem::path path = name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  static Config loaded(std::string_view text, const Environment& environment = {}) {
    auto result = load(write(text), environment);
    EXPECT_TRUE(result) << (result ? "" : result.error().detail);
    return result ? result->config : Config{};
  }
  static std::string error(std::string_view text, const Environment& environment = {}) {
    auto result = load(write(text), environment);
    return result ? "no error" : result.error().detail;
  }
  /// The same, where all of it is about the file: without its name.
  static std::string error_in_file(std::string_view text) {
    return test::without_prefix(error(text), "millrace.yaml:");
  }

  test::TemporaryDirectory directory_;

 private:
  std::filesystem::path before_;
};

struct Mistake {
  std::string name, text, said;  ///< `said`: line, key and message
};
inline void PrintTo(const Mistake& mistake, std::ostream* out) { *out << mistake.name; }
inline std::string name_of(const testing::TestParamInfo<Mistake>& mistake) { return mistake.param.name; }

using test::repeated;

}  // namespace millrace::config
