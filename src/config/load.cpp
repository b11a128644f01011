#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <nlohmann/json.hpp>

#include "config/members.hpp"
#include "config/mistakes.hpp"
#include "config/read_file.hpp"
#include "config/table.hpp"
#include "millrace/base/nearest.hpp"
#include "millrace/base/printable.hpp"
#include "millrace/codec/yaml.hpp"
#include "millrace/config/access_keys.hpp"
#include "millrace/config/encryption_keys.hpp"
#include "millrace/gateway/gateway.hpp"
#include "millrace/services/operation.hpp"

namespace millrace::config {
namespace {

using codec::YamlDocument;
using services::Field;

constexpr std::size_t kFileBytesMax = 4u << 20;
constexpr std::size_t kApiNameBytesMax = 1024;

int line_of(const YAML::Node& node) { return node.Mark().line + 1; }

/// Where a key got its value, for what is wrong with two of them together.
struct Origin {
  std::size_t line = 0;  // of the file
  std::string variable;  // of the environment
};
using Origins = std::map<std::string_view, Origin, std::less<>>;  // by key

std::span<const Field> input_of(std::string_view service, std::string_view operation) {
  return services::find_service(service)->find(operation)->input;
}

/// CreateStream's members as far as the list of streams names them, and the one that it has not.
const std::vector<Field>& stream_members(const List& list) {
  static const std::vector<Field> members = [&] {
    std::vector<Field> out;
    for (const Field& field : input_of("kinesis", "CreateStream"))
      if (std::any_of(list.members.begin(), list.members.end(), [&](const Member& m) { return m.name == field.name; }))
        out.push_back(field);
    // Without it the stream would be on demand.
    for (Field& field : out) field.required = field.required || field.name == "ShardCount";
    Field retention;
    retention.name = "RetentionPeriodHours";
    retention.kind = services::Kind::integer;
    retention.own.min = 24;
    retention.own.max = 8760;
    out.push_back(retention);
    return out;
  }();
  return members;
}

/// Reads one file into a Config.
class FileReader {
 public:
  FileReader(const std::filesystem::path& file, Config& config, Mistakes& mistakes, Origins& origins)
      : file_(file), config_(config), mistakes_(mistakes), origins_(origins) {}

  void read() {
    std::string why;
    std::optional<std::string> text = read_file(file_, kFileBytesMax, why);
    if (!text) return mistakes_.add(0, "", why);
    const YamlDocument document(*std::move(text));
    for (const codec::YamlMistake& each : document.mistakes()) {
      if (document.readable())
        mistakes_.add(each.at.line, each.path, each.what);
      else
        mistakes_.add_at(each.at.line, each.at.column, each.what);
    }
    const YAML::Node& root = document.root();
    if (!document.readable() || root.IsNull()) return;
    if (!root.IsMap())
      return mistakes_.add(line_of(root), "", "must hold keys and their values, such as `region: us-east-1`");
    read_section(root, "");
  }

 private:
  void read_section(const YAML::Node& map, const std::string& path) {
    for (const auto& [name, value] : YamlDocument::members(map)) {
      const std::string full = below(path, name.Scalar());
      const int line = line_of(name);
      const bool path_as_name = name.Scalar().find('.') != std::string::npos;
      const auto of_this_name = [&](const auto& each) { return each.path == full && !path_as_name; };
      if (auto key = std::find_if(keys().begin(), keys().end(), of_this_name); key != keys().end()) {
        read_value(*key, value, line);
      } else if (auto list = std::find_if(lists().begin(), lists().end(), of_this_name); list != lists().end()) {
        read_list(*list, value, line);
      } else if (std::any_of(keys().begin(), keys().end(),
                             [&](const Key& each) { return each.path.starts_with(full + "."); })) {
        if (value.IsMap())
          read_section(value, full);
        else if (!value.IsNull())
          mistakes_.add(line, full,
                        "must hold keys, not " + std::string(value.IsSequence() ? "a list" : "a value") +
                            "; known here: " + joined(names_in(full), ""));
      } else {
        mistakes_.add(line, full, unknown_text(name.Scalar(), names_in(path), sections_of(name.Scalar())));
      }
    }
  }

  /// What may stand directly in a section.
  static std::vector<std::string_view> names_in(const std::string& path) {
    std::vector<std::string_view> names;
    auto add = [&](std::string_view full) {
      if (!path.empty() && !full.starts_with(path + ".")) return;
      std::string_view rest = full.substr(path.empty() ? 0 : path.size() + 1);
      rest = rest.substr(0, rest.find('.'));
      if (std::find(names.begin(), names.end(), rest) == names.end()) names.push_back(rest);
    };
    for (const Key& key : keys()) add(key.path);
    for (const List& list : lists()) add(list.path);
    return names;
  }

  /// The sections that have a key of this name; of a name that is a whole path, its own.
  static std::string sections_of(std::string_view name) {
    std::string out;
    for (const Key& key : keys()) {
      const std::size_t dot = key.path.rfind('.');
      if (dot != std::string_view::npos && (key.path == name || key.path.substr(dot + 1) == name))
        out.append(out.empty() ? "" : "' or '").append(key.path.substr(0, dot));
    }
    return out;
  }

  void read_value(const Key& key, const YAML::Node& value, int line) {
    if (value.IsNull()) return mistakes_.add(line, key.path, "has no value: write " + accepted_text(key));
    if ((key.kind == Kind::names || key.kind == Kind::streams) && value.IsSequence())
      return read_names(key, value, line);
    if (!value.IsScalar())
      return mistakes_.add(
          line, key.path,
          "must be one value, not " + std::string(value.IsMap() ? "keys" : "a list") + ": write " + accepted_text(key));
    if (std::string wrong = set_value(key, value.Scalar(), config_); !wrong.empty())
      return mistakes_.add(line, key.path, wrong);
    origins_[key.path] = {static_cast<std::size_t>(line), {}};
  }

  void read_names(const Key& key, const YAML::Node& value, int line) {
    if (value.size() == 0) return mistakes_.add(line, key.path, "has no value: write " + accepted_text(key));
    std::string all;
    std::size_t index = 0;
    for (const YAML::Node& entry : value) {
      const std::string name = entry.IsScalar() ? entry.Scalar() : std::string();
      if (const std::string wrong = wrong_name(key, name); !wrong.empty())
        return mistakes_.add(line_of(entry), std::string(key.path) + "[" + std::to_string(index) + "]",
                             in_quotes(name) + " " + wrong + ": write " + accepted_text(key));
      all.append(index++ == 0 ? "" : ",").append(name);
    }
    if (std::string wrong = set_value(key, all, config_); !wrong.empty()) return mistakes_.add(line, key.path, wrong);
    origins_[key.path] = {static_cast<std::size_t>(line), {}};
  }

  void read_list(const List& list, const YAML::Node& value, int line) {
    if (value.IsNull()) return;
    if (!value.IsSequence()) return mistakes_.add(line, list.path, "must be a list: write `- ` before each entry");
    std::size_t index = 0;
    for (const YAML::Node& entry : value) {
      const std::string path = std::string(list.path) + "[" + std::to_string(index++) + "]";
      if (!entry.IsMap())
        mistakes_.add(entry.IsNull() ? line : line_of(entry), path,
                      "must hold names and values, not " + std::string(entry.IsSequence() ? "a list"
                                                                       : entry.IsNull()   ? "nothing"
                                                                                          : "a value"));
      else if (list.path == "apis")
        read_api(list, entry, path);
      else if (list.path == "streams")
        read_declaration(entry, path, stream_members(list), "StreamName", config_.streams);
      else
        read_declaration(entry, path, input_of("firehose", "CreateDeliveryStream"), "DeliveryStreamName",
                         config_.delivery_streams);
    }
  }

  void read_declaration(const YAML::Node& entry, const std::string& path, std::span<const Field> members,
                        std::string_view name_member, std::vector<Declaration>& out) {
    Declaration declaration;
    declaration.line = line_of(entry);
    declaration.path = path;
    const auto json =
        MemberReader(mistakes_, declaration.members).structure(entry, declaration.line, members, declaration.path);
    for (const DeclaredMember& member : declaration.members) {
      if (member.path != below(path, name_member)) continue;
      declaration.name = member.value;
      tell_twice(names_[name_member], member.value, member.path, member.line);
    }
    declaration.json = json.dump();
    out.push_back(std::move(declaration));
  }

  using Lines = std::map<std::string, int, std::less<>>;  // by name

  /// A mistake when another has this name too, be it wrong for another reason or not.
  void tell_twice(Lines& lines, const std::string& name, const std::string& path, int line) {
    if (name.empty()) return;
    const auto [first, fresh] = lines.emplace(name, line);
    if (!fresh)
      mistakes_.add(line, path, in_quotes(name) + " is declared twice, first in line " + std::to_string(first->second));
  }

  void read_api(const List& list, const YAML::Node& entry, const std::string& path) {
    std::vector<std::string_view> known;
    for (const Member& member : list.members) known.push_back(member.name);
    ApiDeclaration api;
    api.line = line_of(entry);
    api.path = path;
    std::vector<std::string_view> given;
    int id_line = 0;
    for (const auto& [key, value] : YamlDocument::members(entry)) {
      const std::string& name = key.Scalar();
      const std::string here = below(path, name);
      const int line = line_of(key);
      const auto member = std::find(known.begin(), known.end(), name);
      if (member == known.end()) {
        mistakes_.add(line, here, unknown_text(name, known, ""));
        given.push_back(nearest(name, known));  // what is misspelt is not missing too
        continue;
      }
      given.push_back(*member);
      if (name == "id") id_line = line;
      if (name == "stages")
        read_stages(value, line, here, api.stages);
      else if (!value.IsScalar() || value.Scalar().empty())
        mistakes_.add(line, here,
                      value.IsScalar() || value.IsNull() ? "has no value: must be a text"
                      : value.IsMap()                    ? "must be a text, not members"
                                                         : "must be a text, not a list");
      else
        read_api_text(name, value.Scalar(), line, here, api);
    }
    for (std::string_view required : {"name", "openapi", "stages"})
      if (std::find(given.begin(), given.end(), required) == given.end())
        mistakes_.add(api.line, path, std::string(required) + " is missing");
    // Of two APIs one may have the id that the other derives.
    const std::string id = api.id.empty() ? gateway::api_id_of_name(api.name) : api.id;
    const auto [other, fresh] = api_ids_.emplace(id, ApiOfId{api.name, api.line});
    if (!fresh && other->second.name != api.name)
      mistakes_.add(id_line ? id_line : api.line, id_line ? below(path, "id") : path,
                    in_quotes(id) + " is the id of API " + in_quotes(other->second.name) + " in line " +
                        std::to_string(other->second.line) + ": give one of them another");
    config_.apis.push_back(std::move(api));
  }

  void read_api_text(std::string_view member, const std::string& text, int line, const std::string& path,
                     ApiDeclaration& api) {
    if (member == "name") {
      api.name = text;
      if (text.size() > kApiNameBytesMax || printable(text, kApiNameBytesMax) != text)
        mistakes_.add(line, path,
                      in_quotes(text) + " is not a name: at most " + std::to_string(kApiNameBytesMax) +
                          " bytes without control characters are");
      tell_twice(names_["name"], text, path, line);
    } else if (member == "id") {
      if (text.size() != 10 || text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789") != std::string::npos)
        return mistakes_.add(line, path, in_quotes(text) + " is not an id: write ten of a-z and 0-9");
      api.id = text;
    } else {
      api.openapi = file_.parent_path() / text;
      api.openapi_line = line;
      if (std::string why = unreadable_because(api.openapi); !why.empty())
        mistakes_.add(line, path, api.openapi.string() + ": " + why);
    }
  }

  void read_stages(const YAML::Node& value, int line, const std::string& path, std::vector<std::string>& out) {
    if (!value.IsSequence() || value.size() == 0)
      return mistakes_.add(line, path, "must be a list of one or more names, such as [PROD]");
    for (const YAML::Node& stage : value) {
      const std::string name = stage.IsScalar() ? stage.Scalar() : std::string();
      const bool fits =
          !name.empty() && name.size() <= 128 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
            return (c < 0x80 && std::isalnum(c)) || c == '_' || c == '-';
          });
      const std::string here = path + "[" + std::to_string(out.size()) + "]";
      if (!fits)
        mistakes_.add(
            line_of(stage), here,
            (stage.IsScalar() ? in_quotes(name) + " is not a stage's name" : std::string("is not a stage's name")) +
                ": write 1 to 128 letters, digits, '_' and '-'");
      else if (std::find(out.begin(), out.end(), name) != out.end())
        mistakes_.add(line_of(stage), here, "stage " + in_quotes(name) + " is given twice");
      out.push_back(name);
    }
  }

  const std::filesystem::path& file_;
  Config& config_;
  Mistakes& mistakes_;
  Origins& origins_;
  std::map<std::string_view, Lines> names_;  // by the member that holds them
  struct ApiOfId {
    std::string name;
    int line;
  };
  std::map<std::string, ApiOfId> api_ids_;
};

void read_environment(const Environment& environment, Loaded& loaded, Origins& origins, Mistakes& mistakes) {
  std::vector<std::string> known;
  for (const Key& key : keys()) known.push_back(environment_name(key.path));
  const std::vector<std::string_view> candidates(known.begin(), known.end());
  for (const auto& [name, value] : environment) {
    if (!name.starts_with("MILLRACE_") || name == kKeysVariable) continue;
    const auto at = std::find(known.begin(), known.end(), name);
    if (at == known.end()) {
      const std::string_view near = nearest(name, candidates);
      loaded.warnings.push_back("environment: " + printable(name) + " is not a known name and is ignored" +
                                (near.empty() ? "" : "; did you mean " + std::string(near) + "?"));
      continue;
    }
    if (value.empty()) continue;  // as container files pass what is not set
    const Key& key = keys()[static_cast<std::size_t>(at - known.begin())];
    if (std::string wrong = set_value(key, value, loaded.config); !wrong.empty())
      mistakes.add_elsewhere("environment: " + name + " (" + std::string(key.path) + "): " + wrong);
    else
      origins[key.path] = {0, name};
  }
}

/// A mistake of a key whose value is right by itself, told where it was given.
void add_at_origin(std::string_view key, const std::string& what, const Origins& origins, Mistakes& mistakes) {
  const auto origin = origins.find(key);
  if (origin != origins.end() && !origin->second.variable.empty())
    mistakes.add_elsewhere("environment: " + origin->second.variable + " (" + std::string(key) + "): " + what);
  else
    mistakes.add(origin == origins.end() ? 0 : origin->second.line, key, what);
}

void check_together(const Config& config, const Origins& origins, Mistakes& mistakes) {
  const auto aws = parse_address(config.listen_aws), gateway = parse_address(config.listen_gateway);
  if (aws && gateway && same_listener(*aws, *gateway)) {
    const bool named = origins.contains("listen.gateway");
    add_at_origin(named ? "listen.gateway" : "listen.aws",
                  (named ? config.listen_gateway : config.listen_aws) + " takes the address of " +
                      (named ? "listen.aws (" + config.listen_aws : "listen.gateway (" + config.listen_gateway) +
                      "): give one of them another port",
                  origins, mistakes);
  }
  if (origins.contains("storage.sync") && config.storage_mode != "durable")
    add_at_origin("storage.sync", "is only for storage.mode durable: set that, or leave this out", origins, mistakes);
  constexpr std::size_t kFilesLeast = 4;  // in use, made ahead, kept for state, and one that can be dropped
  const std::string_view of_no_use = config.limits_enforced ? "limits.limited" : "limits.exempt";
  if (origins.contains(of_no_use))
    add_at_origin(of_no_use,
                  std::string("is only for limits.enforce ") + (config.limits_enforced ? "false" : "true") +
                      ": set that, or leave this out",
                  origins, mistakes);
  if (config.disk_limit / kFilesLeast < config.file_size)
    add_at_origin("storage.disk_limit",
                  "has no room for four files of storage.file_size: give it more, or make them smaller", origins,
                  mistakes);
  std::error_code error;
  std::filesystem::path data = config.data_dir;  // or what of it is there already
  while (!std::filesystem::exists(data, error) && data.has_parent_path() && data.parent_path() != data)
    data = data.parent_path();
  if (std::filesystem::exists(data, error) && !std::filesystem::is_directory(data, error))
    add_at_origin("data_dir", in_quotes(data.string()) + " is a file: write the path of a directory", origins,
                  mistakes);
}

/// The user's own certificate and key: both or none, and what can be read. What is in them is looked at by who uses it.
void check_certificate(Config& config, const Origins& origins, Mistakes& mistakes) {
  const auto given = [&](std::string_view key) { return origins.contains(key); };
  if (given("tls.certificate") != given("tls.key")) {
    const bool key_missing = given("tls.certificate");
    return add_at_origin(key_missing ? "tls.certificate" : "tls.key",
                         std::string("needs ") + (key_missing ? "tls.key" : "tls.certificate") +
                             " beside it: give both, or none for the daemon's own",
                         origins, mistakes);
  }
  if (!given("tls.certificate")) return;
  if (given("tls.hostnames"))
    add_at_origin("tls.hostnames",
                  "is only for the daemon's own certificate: leave it, or tls.certificate and tls.key, out", origins,
                  mistakes);
  for (const auto& [key, path] :
       {std::pair("tls.certificate", &config.tls_certificate), std::pair("tls.key", &config.tls_key)}) {
    if (origins.find(std::string_view(key))->second.variable.empty() && path->is_relative())
      *path = config.file.parent_path() / *path;
    if (!config.tls_enabled) continue;
    if (std::string why = unreadable_because(*path); !why.empty())
      add_at_origin(key, path->string() + ": " + why, origins, mistakes);
  }
}

/// The keys of storage.encryption, from where they are.
void read_keys(const Environment& environment, Loaded& loaded, const Origins& origins, Mistakes& mistakes) {
  Config& config = loaded.config;
  const bool seals = config.encryption == "all";
  auto keys = encryption_keys_in(environment, seals);
  if (!keys) return mistakes.add_elsewhere(keys.error().detail);
  if (const auto origin = origins.find("storage.encryption_keys"); origin != origins.end()) {
    if (*keys)
      return add_at_origin("storage.encryption_keys",
                           "is given beside " + std::string(kKeysVariable) + ": leave one of them out", origins,
                           mistakes);
    if (origin->second.variable.empty() && config.encryption_keys.is_relative())
      config.encryption_keys = config.file.parent_path() / config.encryption_keys;
    auto read = read_encryption_keys(config.encryption_keys, seals);
    if (!read) return mistakes.add_elsewhere(read.error().detail);
    *keys = std::move(*read);
  }
  if (!*keys && seals)
    return add_at_origin(
        "storage.encryption",
        "'all' needs a key: write `1 ` and what `openssl rand -base64 32` prints into a file that only "
        "the daemon can read, and name that in storage.encryption_keys",
        origins, mistakes);
  if (!*keys) return;
  config.keys = std::move((*keys)->keys);
  for (std::string& warning : (*keys)->warnings) loaded.warnings.push_back(std::move(warning));
}

/// The access keys, from where they are, and what is done about them where that is not said.
void read_credentials(Loaded& loaded, const Origins& origins, Mistakes& mistakes) {
  Config& config = loaded.config;
  const auto origin = origins.find(std::string_view("auth.credentials"));
  const bool given = origin != origins.end();
  if (config.auth_mode.empty()) config.auth_mode = given ? "verify" : "presence";
  if (config.auth_mode == "verify" && !given)
    return add_at_origin("auth.mode", "'verify' needs auth.credentials: name the file with the keys that may sign",
                         origins, mistakes);
  if (!given) return;
  if (config.auth_mode != "verify")
    return add_at_origin("auth.credentials",
                         "is given, and auth.mode " + config.auth_mode + " looks at none: leave one of them out",
                         origins, mistakes);
  if (origin->second.variable.empty() && config.credentials.is_relative())
    config.credentials = config.file.parent_path() / config.credentials;
  auto read = read_access_keys(config.credentials);
  if (!read) return mistakes.add_elsewhere(read.error().detail);
  config.access_keys = std::move(read->keys);
  for (std::string& warning : read->warnings) loaded.warnings.push_back(std::move(warning));
}

}  // namespace

Result<Loaded> load(const std::optional<std::filesystem::path>& file, const Environment& environment) {
  Loaded loaded;
  Origins origins;
  Mistakes mistakes(file.value_or(std::filesystem::path()));
  if (file) {
    loaded.config.file = *file;
    FileReader(*file, loaded.config, mistakes, origins).read();
  }
  read_environment(environment, loaded, origins, mistakes);
  if (loaded.config.memory_limit == 0) loaded.config.memory_limit = default_memory_limit();
  check_together(loaded.config, origins, mistakes);
  check_certificate(loaded.config, origins, mistakes);
  read_keys(environment, loaded, origins, mistakes);
  read_credentials(loaded, origins, mistakes);
  if (!mistakes.empty()) return mistakes.error();
  return loaded;
}

}  // namespace millrace::config
