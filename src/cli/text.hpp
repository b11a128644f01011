#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <vector>

/// What commands say to a person.
namespace millrace::cli {

/// `1,234,567`
std::string grouped(std::uint64_t number);
/// `1 file`, `2 files`
std::string counted(std::uint64_t number, const std::string& one, const std::string& many);
/// `512 B`, `1.5 MiB`
std::string sized(std::uint64_t bytes);

/// `key 2 is needed: give it with --keys`, a whole line
std::string keys_needed(const std::set<std::uint32_t>& ids);

/// Columns as wide as they must be, numbers to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> head) : rows_{{std::move(head), {}}} {}
  void add(std::vector<std::string> cells) { rows_.push_back({std::move(cells), {}}); }
  /// A line of its own under the row added last.
  void add_below(std::string line) { rows_.back().below.push_back(std::move(line)); }
  bool empty() const noexcept { return rows_.size() == 1; }
  std::string text(const std::string& indent) const;

 private:
  struct Row {
    std::vector<std::string> cells, below;
  };
  std::vector<Row> rows_;
};

}  // namespace millrace::cli
