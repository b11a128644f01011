#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

#include "config/read_file.hpp"
#include "config/table.hpp"
#include "millrace/codec/json_reader.hpp"

namespace millrace::config {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kFileBytesMax = 4u << 20;
constexpr std::size_t kNodesMax = 200'000;  // aliases can make a small file a large tree
constexpr int kDepthMax = 64;               // and an endless one
constexpr std::size_t kErrorsMax = 50;

/// Members of declarations that are not strings on the wire; every other scalar is one, whatever it looks like.
enum class Wire { string, integer, boolean };
Wire wire_type(std::string_view member) {
  static constexpr std::string_view integers[] = {"ShardCount",        "RetentionPeriodHours", "SizeInMBs",
                                                  "IntervalInSeconds", "DurationInSeconds",    "ThroughputHintInMBs"};
  static constexpr std::string_view booleans[] = {"Enabled", "AppendOnly", "CaseInsensitive",
                                                  "ConvertDotsInJsonKeysToUnderscores"};
  if (std::find(std::begin(integers), std::end(integers), member) != std::end(integers)) return Wire::integer;
  if (std::find(std::begin(booleans), std::end(booleans), member) != std::end(booleans)) return Wire::boolean;
  return Wire::string;
}

int line_of(const YAML::Node& node) { return node.Mark().line + 1; }

/// Reads one file into a Config, and remembers every mistake by its line.
class FileReader {
 public:
  FileReader(const std::filesystem::path& file, Config& config) : file_(file), config_(config) {}

  void read() {
    std::string text;
    if (!read_text(text)) return;
    try {
      std::vector<YAML::Node> documents = YAML::LoadAll(text);
      if (documents.size() > 1) return error(line_of(documents[1]), "", "a second YAML document: the config is one");
      if (documents.empty() || documents[0].IsNull()) return;
      if (!documents[0].IsMap()) return error(line_of(documents[0]), "", "must hold keys and values");
      read_section(documents[0], "");
    } catch (const YAML::Exception& e) {
      error(e.mark.is_null() ? 0 : e.mark.line + 1, "", "not valid YAML: " + e.msg);
    }
  }
  const std::vector<std::string>& errors() const { return errors_; }

 private:
  void error(int line, std::string_view key, std::string_view what) {
    std::string text = file_.string();
    if (line > 0) text += ":" + std::to_string(line);
    text += ": ";
    if (!key.empty()) text.append(key).append(": ");
    errors_.push_back(text.append(what));
  }

  bool read_text(std::string& text) {
    std::string why;
    std::optional<std::string> read = read_file(file_, kFileBytesMax, why);
    if (!read) return error(0, "", why), false;
    text = *std::move(read);
    for (std::size_t start = 0, line = 1; start < text.size(); ++line) {
      std::size_t end = std::min(text.find('\n', start), text.size());
      std::string_view one(text.data() + start, end - start);
      if (!codec::valid_utf8(one) || one.find('\0') != std::string_view::npos)
        return error(static_cast<int>(line), "", "is not UTF-8 text"), false;
      start = end + 1;
    }
    return true;
  }

  /// The pairs of a map, keys as text; a key given twice is told and skipped.
  template <class Fn>
  void each_member(const YAML::Node& map, std::string_view path, Fn&& take) {
    std::map<std::string, int> seen;
    for (const auto& pair : map) {
      if (!pair.first.IsScalar()) {
        error(line_of(pair.first), path, "a key must be a plain word");
        continue;
      }
      const std::string& name = pair.first.Scalar();
      auto [first, fresh] = seen.emplace(name, line_of(pair.first));
      if (!fresh)
        error(line_of(pair.first), below(path, name), "is given twice, first in line " + std::to_string(first->second));
      else
        take(name, pair.second, line_of(pair.first));
    }
  }

  static std::string below(std::string_view path, std::string_view name) {
    return path.empty() ? std::string(name) : std::string(path) + "." + std::string(name);
  }

  void unknown(int line, const std::string& path, std::string_view name, std::span<const std::string_view> candidates) {
    std::string_view near = nearest(name, candidates);
    error(line, path,
          near.empty() ? std::string("is not a known key")
                       : "is not a known key; did you mean '" + std::string(near) + "'?");
  }

  void read_section(const YAML::Node& map, const std::string& path) {
    each_member(map, path, [&](const std::string& name, const YAML::Node& value, int line) {
      std::string full = below(path, name);
      for (const Key& key : keys())
        if (key.path == full) return read_value(key, value, line);
      for (const List& list : lists())
        if (list.path == full) return read_list(list, value, line);
      bool section =
          std::any_of(keys().begin(), keys().end(), [&](const Key& key) { return key.path.starts_with(full + "."); });
      if (!section) return unknown(line, full, name, names_in(path));
      if (value.IsNull()) return;
      if (!value.IsMap()) return error(line, full, "must hold keys, not a value");
      read_section(value, full);
    });
  }

  /// What may stand directly in a section.
  static std::vector<std::string_view> names_in(const std::string& path) {
    std::vector<std::string_view> names;
    auto add = [&](std::string_view full) {
      if (!path.empty() && !full.starts_with(path + ".")) return;
      std::string_view rest = full.substr(path.empty() ? 0 : path.size() + 1);
      names.push_back(rest.substr(0, rest.find('.')));
    };
    for (const Key& key : keys()) add(key.path);
    for (const List& list : lists()) add(list.path);
    return names;
  }

  void read_value(const Key& key, const YAML::Node& value, int line) {
    if (value.IsNull()) return error(line, key.path, "has no value");
    if (!value.IsScalar()) return error(line, key.path, "must be one value: " + std::string(kind_text(key.kind)));
    if (std::string wrong = set_value(key, value.Scalar(), config_); !wrong.empty()) error(line, key.path, wrong);
  }

  void read_list(const List& list, const YAML::Node& value, int line) {
    if (value.IsNull()) return;
    if (!value.IsSequence()) return error(line, list.path, "must be a list");
    std::size_t index = 0;
    for (const YAML::Node& entry : value) {
      std::string path = std::string(list.path) + "[" + std::to_string(index++) + "]";
      if (!entry.IsMap()) {
        error(line_of(entry), path, "must hold keys and values");
        continue;
      }
      if (list.path == "apis")
        read_api(list, entry, path);
      else if (list.path == "streams")
        read_declaration(list, entry, path, "StreamName", config_.streams);
      else
        read_declaration(list, entry, path, "DeliveryStreamName", config_.delivery_streams);
    }
  }

  void read_declaration(const List& list, const YAML::Node& entry, const std::string& path, const char* name_member,
                        std::vector<Declaration>& out) {
    std::size_t errors_before = errors_.size();
    std::vector<std::string_view> members;
    for (const Member& member : list.members) members.push_back(member.name);
    ordered_json json = ordered_json::object();
    each_member(entry, path, [&](const std::string& name, const YAML::Node& value, int line) {
      if (!members.empty() && std::find(members.begin(), members.end(), name) == members.end())
        return unknown(line, below(path, name), name, members);
      json[name] = json_of(value, name, below(path, name), 0);
    });
    Declaration declaration;
    declaration.line = line_of(entry);
    if (auto name = json.find(name_member); name != json.end() && name->is_string())
      declaration.name = name->get<std::string>();
    if (errors_.size() != errors_before) return;
    if (declaration.name.empty()) return error(declaration.line, path, std::string(name_member) + " is missing");
    for (const Declaration& other : out)
      if (other.name == declaration.name)
        return error(declaration.line, path,
                     std::string(name_member) + " '" + declaration.name + "' is declared twice, first in line " +
                         std::to_string(other.line));
    declaration.json = json.dump();
    out.push_back(std::move(declaration));
  }

  /// `member` decides a scalar's type, not its looks: `no`, `010` and `1.0` are strings where the API has a string.
  ordered_json json_of(const YAML::Node& node, std::string_view member, const std::string& path, int depth) {
    if (depth > kDepthMax || ++nodes_ > kNodesMax) {
      if (!std::exchange(too_large_told_, true))
        error(line_of(node), path.substr(0, path.find(']') + 1), "holds too much, or itself");
      return nullptr;
    }
    switch (node.Type()) {
      case YAML::NodeType::Undefined:
      case YAML::NodeType::Null:
        return nullptr;
      case YAML::NodeType::Scalar:
        return scalar(node, member == "Tags" ? Wire::string : wire_type(member), path);
      case YAML::NodeType::Sequence: {
        ordered_json out = ordered_json::array();
        for (const YAML::Node& entry : node) {
          if (nodes_ > kNodesMax) break;
          out.push_back(json_of(entry, member, path + "[" + std::to_string(out.size()) + "]", depth + 1));
        }
        return out;
      }
      case YAML::NodeType::Map: {
        ordered_json out = ordered_json::object();
        each_member(node, path, [&](const std::string& name, const YAML::Node& value, int) {
          if (nodes_ > kNodesMax) return;
          out[name] = json_of(value, member == "Tags" ? member : std::string_view(name), below(path, name), depth + 1);
        });
        return out;
      }
    }
    return nullptr;
  }

  ordered_json scalar(const YAML::Node& node, Wire type, const std::string& path) {
    const std::string& text = node.Scalar();
    switch (type) {
      case Wire::string:
        return text;
      case Wire::boolean:
        if (text == "true") return true;
        if (text == "false") return false;
        error(line_of(node), path, "'" + text + "' is not true or false");
        return nullptr;
      case Wire::integer: {
        std::int64_t number = 0;
        auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (failed == std::errc{} && end == text.data() + text.size()) return number;
        error(line_of(node), path, "'" + text + "' is not a whole number");
        return nullptr;
      }
    }
    return nullptr;
  }

  void read_api(const List& list, const YAML::Node& entry, const std::string& path) {
    std::size_t errors_before = errors_.size();
    std::vector<std::string_view> members;
    for (const Member& member : list.members) members.push_back(member.name);
    ApiDeclaration api;
    api.line = line_of(entry);
    auto text = [&](const YAML::Node& value, int line, const std::string& key, std::string& out) {
      if (!value.IsScalar() || value.Scalar().empty()) return error(line, key, "must be a text");
      out = value.Scalar();
    };
    each_member(entry, path, [&](const std::string& name, const YAML::Node& value, int line) {
      std::string key = below(path, name);
      if (name == "name") return text(value, line, key, api.name);
      if (name == "id") {
        text(value, line, key, api.id);
        bool fits = api.id.size() == 10 &&
                    api.id.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789") == std::string::npos;
        if (!api.id.empty() && !fits) error(line, key, "'" + api.id + "' is not ten of a-z and 0-9");
        return;
      }
      if (name == "openapi") {
        std::string openapi;
        text(value, line, key, openapi);
        if (openapi.empty()) return;
        api.openapi = file_.parent_path() / openapi;
        std::error_code status;
        if (!std::filesystem::is_regular_file(api.openapi, status))
          error(line, key, "there is no file " + api.openapi.string());
        return;
      }
      if (name == "stages") return read_stages(value, line, key, api.stages);
      unknown(line, key, name, members);
    });
    if (errors_.size() != errors_before) return;
    for (auto [missing, name] :
         {std::pair{api.name.empty(), "name"}, {api.openapi.empty(), "openapi"}, {api.stages.empty(), "stages"}})
      if (missing) error(api.line, path, std::string(name) + " is missing");
    for (const ApiDeclaration& other : config_.apis) {
      if (other.name == api.name)
        error(api.line, path, "name '" + api.name + "' is declared twice, first in line " + std::to_string(other.line));
      if (!api.id.empty() && other.id == api.id)
        error(api.line, path, "id '" + api.id + "' is declared twice, first in line " + std::to_string(other.line));
    }
    if (errors_.size() == errors_before) config_.apis.push_back(std::move(api));
  }

  void read_stages(const YAML::Node& value, int line, const std::string& key, std::vector<std::string>& out) {
    if (!value.IsSequence()) return error(line, key, "must be a list of names");
    for (const YAML::Node& stage : value) {
      std::string name = stage.IsScalar() ? stage.Scalar() : std::string();
      bool fits = !name.empty() && name.size() <= 128 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
        return (c < 0x80 && std::isalnum(c)) || c == '_' || c == '-';
      });
      if (!fits) {
        error(line_of(stage), key, "a stage's name is 1 to 128 of letters, digits, '_' and '-'");
      } else if (std::find(out.begin(), out.end(), name) != out.end()) {
        error(line_of(stage), key, "stage '" + name + "' is given twice");
      } else {
        out.push_back(std::move(name));
      }
    }
  }

  const std::filesystem::path& file_;
  Config& config_;
  std::vector<std::string> errors_;
  std::size_t nodes_ = 0;
  bool too_large_told_ = false;
};

void read_environment(const Environment& environment, Loaded& loaded, std::vector<std::string>& errors) {
  std::vector<std::string> known;
  for (const Key& key : keys()) known.push_back(environment_name(key.path));
  std::vector<std::string_view> candidates(known.begin(), known.end());
  for (const auto& [name, value] : environment) {
    if (!name.starts_with("MILLRACE_")) continue;
    auto at = std::find(known.begin(), known.end(), name);
    if (at == known.end()) {
      std::string_view near = nearest(name, candidates);
      loaded.warnings.push_back("environment: " + name + " is not a known name and is ignored" +
                                (near.empty() ? "" : "; did you mean " + std::string(near) + "?"));
      continue;
    }
    if (value.empty()) continue;  // as container files pass what is not set
    const Key& key = keys()[static_cast<std::size_t>(at - known.begin())];
    if (std::string wrong = set_value(key, value, loaded.config); !wrong.empty())
      errors.push_back("environment: " + name + " (" + std::string(key.path) + "): " + wrong);
  }
}

/// Keys and values stand in the messages as they came; each message is one line all the same.
std::string one_line(std::string text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte >= 0x20 && byte != 0x7f) continue;
    constexpr char kHex[] = "0123456789abcdef";
    text.replace(at, 1, byte == '\n' ? std::string("\\n") : std::string("\\x") + kHex[byte >> 4] + kHex[byte & 15]);
  }
  return text;
}

}  // namespace

Result<Loaded> load(const std::optional<std::filesystem::path>& file, const Environment& environment) {
  Loaded loaded;
  std::vector<std::string> errors;
  if (file) {
    loaded.config.file = *file;
    FileReader reader(*file, loaded.config);
    reader.read();
    errors = reader.errors();
  }
  read_environment(environment, loaded, errors);
  Config& config = loaded.config;
  if (config.memory_limit == 0) config.memory_limit = default_memory_limit();
  auto aws = parse_address(config.listen_aws), gateway = parse_address(config.listen_gateway);
  if (aws && gateway && same_listener(*aws, *gateway)) {
    std::string where = file ? file->string() + ": " : std::string();
    errors.push_back(where + "listen.gateway: " + config.listen_gateway + " takes the address of listen.aws (" +
                     config.listen_aws + ")");
  }
  for (std::string& warning : loaded.warnings) warning = one_line(std::move(warning));
  if (errors.empty()) return loaded;
  std::string detail;
  for (std::size_t i = 0; i < errors.size() && i < kErrorsMax; ++i)
    detail.append(detail.empty() ? "" : "\n").append(one_line(std::move(errors[i])));
  if (errors.size() > kErrorsMax) detail += "\nand " + std::to_string(errors.size() - kErrorsMax) + " more";
  return Error{Errc::invalid, std::move(detail)};
}

}  // namespace millrace::config
