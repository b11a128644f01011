#pragma once
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "config/mistakes.hpp"
#include "millrace/services/field.hpp"

namespace YAML {
class Node;
}

namespace millrace::config {

/// Reads the input of an operation from YAML by the operation's own table of members, so that a scalar is what its
/// member says, not what it looks like: `no`, `010` and `1.0` are strings where the API has a string. What the decoder
/// would refuse, and what it would pass over (names that no member has), are mistakes with their lines.
class MemberReader {
 public:
  /// `values` is given each member that was read, by its place.
  MemberReader(Mistakes& mistakes, std::vector<DeclaredMember>& values) : mistakes_(mistakes), values_(values) {}

  nlohmann::ordered_json structure(const YAML::Node& map, int line, std::span<const services::Field> members,
                                   const std::string& path);

 private:
  nlohmann::ordered_json member(const services::Field& field, const YAML::Node& value, int line,
                                const std::string& path);
  nlohmann::ordered_json scalar(const services::Field& field, services::Kind kind, const services::Constraint& rules,
                                const YAML::Node& value, int line, const std::string& path);
  nlohmann::ordered_json list(const services::Field& field, const YAML::Node& value, int line, const std::string& path);
  nlohmann::ordered_json map(const services::Field& field, const YAML::Node& value, int line, const std::string& path);
  void check_text(const std::string& text, const services::Constraint& rules, bool hidden, std::string_view subject,
                  int line, const std::string& path);
  void check_count(std::size_t count, const services::Constraint& rules, int line, const std::string& path);

  Mistakes& mistakes_;
  std::vector<DeclaredMember>& values_;
};

}  // namespace millrace::config
