#include "config/members.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "config/table.hpp"
#include "millrace/base/nearest.hpp"
#include "millrace/base/printable.hpp"
#include "millrace/codec/json_reader.hpp"
#include "millrace/codec/yaml.hpp"

namespace millrace::config {
namespace {

using codec::YamlDocument;
using nlohmann::ordered_json;
using services::Constraint;
using services::Field;

int line_of(const YAML::Node& node) { return node.Mark().line + 1; }

constexpr std::int64_t kIntegerMax = std::numeric_limits<std::int32_t>::max();  // no member counts further

bool has(std::int64_t bound) { return bound != Constraint::kNone; }

// "1 to 128", "at least 1"; at least one of both is there.
std::string range_text(std::int64_t min, std::int64_t max) {
  if (!has(max)) return "at least " + std::to_string(min);
  if (!has(min)) return "at most " + std::to_string(max);
  return std::to_string(min) + " to " + std::to_string(max);
}

bool outside(std::int64_t value, const Constraint& rules) {
  return (has(rules.min) && value < rules.min) || (has(rules.max) && value > rules.max);
}

std::string demand(services::Kind kind) {
  switch (kind) {
    case services::Kind::integer:
    case services::Kind::long_integer:
      return "must be a whole number";
    case services::Kind::boolean:
      return "must be true or false";
    case services::Kind::list:
      return "must be a list";
    case services::Kind::map:
      return "must hold names and values";
    case services::Kind::structure:
      return "must hold members";
    default:
      return "must be a text";
  }
}

std::string demand_instead(services::Kind kind, const YAML::Node& of) {
  if (of.IsNull()) return "has no value: " + demand(kind);
  return demand(kind) + ", not " + (of.IsSequence() ? "a list" : of.IsMap() ? "members" : "a value");
}

// Below which of `members` a name stands that was given one or more levels too high: `BufferingHints`.
std::string section_of(std::string_view name, std::span<const Field> members) {
  for (const Field& field : members) {
    for (const Field& below : field.members)
      if (below.name == name) return std::string(field.name);
    if (std::string found = section_of(name, field.members); !found.empty())
      return std::string(field.name) + "." + found;
  }
  return {};
}

}  // namespace

ordered_json MemberReader::structure(const YAML::Node& map, int line, std::span<const Field> members,
                                     const std::string& path) {
  ordered_json out = ordered_json::object();
  for (const auto& [key, value] : YamlDocument::members(map)) {
    const std::string& name = key.Scalar();
    auto field = std::find_if(members.begin(), members.end(), [&](const Field& each) { return each.name == name; });
    if (field == members.end()) {
      std::vector<std::string_view> known;
      for (const Field& each : members) known.push_back(each.name);
      mistakes_.add(line_of(key), below(path, name), unknown_text(name, known, section_of(name, members)));
      out[std::string(nearest(name, known))] = nullptr;  // what is misspelt is not missing too
      continue;
    }
    out[name] = member(*field, value, line_of(key), below(path, name));
  }
  for (const Field& field : members)
    if (field.required && !out.contains(field.name)) mistakes_.add(line, path, std::string(field.name) + " is missing");
  return out;
}

ordered_json MemberReader::member(const Field& field, const YAML::Node& value, int line, const std::string& path) {
  values_.push_back({path, std::string(field.name), value.IsScalar() ? value.Scalar() : std::string(), line});
  if (field.kind == services::Kind::refused) {
    mistakes_.add(line, path, field.text.empty() ? std::string("is not supported yet") : std::string(field.text));
    return nullptr;
  }
  switch (field.kind) {
    case services::Kind::list:
      return list(field, value, line, path);
    case services::Kind::map:
      return map(field, value, line, path);
    case services::Kind::structure:
      if (value.IsMap()) return structure(value, line, field.members, path);
      mistakes_.add(line, path, demand_instead(field.kind, value));
      return nullptr;
    default:
      return scalar(field, field.kind, field.own, value, line, path);
  }
}

ordered_json MemberReader::scalar(const Field& field, services::Kind kind, const Constraint& rules,
                                  const YAML::Node& value, int line, const std::string& path) {
  const auto refuse = [&](std::string what) {
    mistakes_.add(line, path, what);
    return nullptr;
  };
  if (!value.IsScalar()) return refuse(demand_instead(kind, value));
  const std::string& text = value.Scalar();
  switch (kind) {
    case services::Kind::boolean:
      if (text == "true") return true;
      if (text == "false") return false;
      return refuse(in_quotes(text) + " is not true or false");
    case services::Kind::integer:
    case services::Kind::long_integer: {
      std::int64_t number = 0;
      auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
      const bool whole = end == text.data() + text.size() && !text.empty();
      if (!whole || (failed != std::errc{} && failed != std::errc::result_out_of_range))
        return refuse(
            in_quotes(text) + " is not a whole number" +
            (has(rules.min) || has(rules.max) ? ": " + range_text(rules.min, rules.max) + " is expected" : ""));
      Constraint bounds = rules;
      if (!has(bounds.max) && (failed != std::errc{} || number > kIntegerMax)) bounds.max = kIntegerMax;
      if (failed != std::errc{} || outside(number, bounds))
        return refuse(in_quotes(text) + " is out of range: " + range_text(bounds.min, bounds.max));
      return number;
    }
    default:
      check_text(text, rules, field.sensitive, "", line, path);
      return text;
  }
}

ordered_json MemberReader::list(const Field& field, const YAML::Node& value, int line, const std::string& path) {
  ordered_json out = ordered_json::array();
  if (!value.IsSequence()) {
    mistakes_.add(line, path, demand_instead(field.kind, value));
    return out;
  }
  check_count(value.size(), field.own, line, path);
  for (const YAML::Node& entry : value) {
    const std::string here = path + "[" + std::to_string(out.size()) + "]";
    const int entry_line = entry.IsNull() ? line : line_of(entry);
    const bool structured = field.item_kind == services::Kind::structure;
    if (structured ? entry.IsMap() : entry.IsScalar()) {
      out.push_back(structured ? structure(entry, entry_line, field.members, here)
                               : scalar(field, field.item_kind, field.item, entry, entry_line, here));
    } else {
      mistakes_.add(entry_line, here, demand_instead(field.item_kind, entry));
      out.push_back(nullptr);
    }
  }
  return out;
}

ordered_json MemberReader::map(const Field& field, const YAML::Node& value, int line, const std::string& path) {
  ordered_json out = ordered_json::object();
  if (!value.IsMap()) {
    mistakes_.add(line, path, demand_instead(field.kind, value));
    return out;
  }
  const auto members = YamlDocument::members(value);
  check_count(members.size(), field.own, line, path);
  for (const auto& [key, text] : members) {
    const std::string here = below(path, key.Scalar());
    const int key_line = line_of(key);
    check_text(key.Scalar(), field.key, false, "the name ", key_line, here);
    values_.push_back({here, key.Scalar(), text.IsScalar() ? text.Scalar() : std::string(), key_line});
    out[key.Scalar()] = scalar(field, services::Kind::string, field.item, text, key_line, here);
  }
  return out;
}

void MemberReader::check_text(const std::string& text, const Constraint& rules, bool hidden, std::string_view subject,
                              int line, const std::string& path) {
  const std::string shown = std::string(subject) + (hidden ? "the value" : in_quotes(text));
  if (!rules.values.empty()) {
    if (std::find(rules.values.begin(), rules.values.end(), text) == rules.values.end())
      mistakes_.add(line, path, shown + " is not known: use one of " + joined(rules.values, ""));
    return;
  }
  if (outside(static_cast<std::int64_t>(codec::code_points(text)), rules))
    return mistakes_.add(line, path,
                         text.empty() ? std::string(subject) + "must not be empty"
                                      : shown + " must have " + range_text(rules.min, rules.max) + " characters");
  if (rules.pattern.matches && !rules.pattern.matches(text))
    mistakes_.add(line, path, shown + " must match the pattern " + std::string(rules.pattern.text));
}

void MemberReader::check_count(std::size_t count, const Constraint& rules, int line, const std::string& path) {
  if (outside(static_cast<std::int64_t>(count), rules))
    mistakes_.add(line, path,
                  "has " + std::to_string(count) + " entries: must have " + range_text(rules.min, rules.max));
}

}  // namespace millrace::config
