#pragma once
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/config/config.hpp"

namespace millrace::config {

/// What is wrong in one file, each by its line; told in the order of lines.
class Mistakes {
 public:
  explicit Mistakes(std::filesystem::path file = {}) : file_(std::move(file)) {}

  /// `file:line: key: what`; no file, line 0 and an empty key are left out.
  void add(std::size_t line, std::string_view key, std::string_view what);
  /// `file:line:column: what`
  void add_at(std::size_t line, std::size_t column, std::string_view what);
  /// One or more lines that name their own place, told after those of this file.
  void add_elsewhere(std::string_view lines);

  bool empty() const noexcept { return all_.empty(); }
  /// All of them as one error. Not to be asked for when empty.
  Error error() const;

 private:
  struct Mistake {
    std::size_t line;
    std::string text;
  };
  void put(std::size_t line, std::string text);

  std::filesystem::path file_;
  std::vector<Mistake> all_;
  std::size_t not_kept_ = 0;
};

}  // namespace millrace::config
