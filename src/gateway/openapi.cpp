#include "gateway/openapi.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <regex>
#include <set>

#include "gateway/vtl/nodes.hpp"
#include "millrace/base/digest.hpp"

namespace millrace::gateway {
namespace {

constexpr std::string_view kExtension = "x-amazon-apigateway-";
constexpr std::string_view kIntegration = "x-amazon-apigateway-integration";
constexpr std::string_view kAnyMethod = "x-amazon-apigateway-any-method";
constexpr std::size_t kNodesMax = 200'000;  // aliases can make a small file a very large tree
constexpr int kDepthMax = 64;               // and an endless one
constexpr std::size_t kSegmentsMax = 64;
constexpr std::size_t kPatternMax = 256;

/// Caught in import_openapi.
struct ImportError {
  int line;  // from 1; 0: none
  std::string what;
};

int line_of(const YAML::Node& node) {
  const YAML::Mark mark = node.Mark();
  return mark.is_null() ? 0 : mark.line + 1;
}

[[noreturn]] void refuse(const YAML::Node& at, std::string what) { throw ImportError{line_of(at), std::move(what)}; }

std::string ticked(std::string_view text) { return "`" + std::string(text) + "`"; }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

/// The members of a map in order, names as text. A name given twice is an error: one of the two would be lost.
std::vector<std::pair<YAML::Node, YAML::Node>> members(const YAML::Node& map, std::string_view what) {
  if (!map.IsMap()) refuse(map, std::string(what) + " must be an object");
  std::vector<std::pair<YAML::Node, YAML::Node>> all;
  std::set<std::string> names;
  for (const auto& member : map) {
    if (!member.first.IsScalar()) refuse(member.first, std::string(what) + " has a member whose name is not a text");
    if (member.first.Scalar() == "<<" && member.first.Tag() == "?")
      refuse(member.first, "YAML merge keys (<<) are not supported");
    if (!names.insert(member.first.Scalar()).second)
      refuse(member.first, std::string(what) + " has " + ticked(member.first.Scalar()) + " twice");
    all.emplace_back(member.first, member.second);
  }
  return all;
}

std::string text(const YAML::Node& node, std::string_view what) {
  if (!node.IsScalar()) refuse(node, std::string(what) + " must be a text");
  return node.Scalar();
}

bool empty(const YAML::Node& node) {
  return node.IsNull() || ((node.IsSequence() || node.IsMap()) && node.size() == 0);
}

/// `application/json; charset=UTF-8` as `application/json`.
std::string media_type(std::string_view type) {
  type = type.substr(0, type.find(';'));
  while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.remove_suffix(1);
  while (!type.empty() && (type.front() == ' ' || type.front() == '\t')) type.remove_prefix(1);
  return lower(type);
}

class Importer {
 public:
  explicit Importer(const ServiceCaller& services) : services_(services) {}

  std::vector<Resource> import(const YAML::Node& root) {
    if (!root.IsMap()) refuse(root, "an OpenAPI document is an object with `openapi` and `paths`");
    YAML::Node paths;
    bool versioned = false;
    for (const auto& [key, value] : members(root, "the document")) {
      const std::string& name = key.Scalar();
      if (name == "swagger")
        refuse(key, "Swagger " + (value.IsScalar() ? value.Scalar() : std::string("documents")) +
                        " is not supported: export the API as OpenAPI 3.0 (export type oas30)");
      if (name == "openapi") {
        const std::string version = text(value, "openapi");
        if (version != "3.0" && !version.starts_with("3.0."))
          refuse(value, "OpenAPI " + version + " is not supported, 3.0 is");
        versioned = true;
      } else if (name == "paths") {
        paths.reset(value);
      } else if (name == "security") {
        check_security(key, value);
      } else if (name == "x-amazon-apigateway-endpoint-configuration") {
        for (const auto& [setting, unused] : members(value, name))
          if (setting.Scalar() != "types" && setting.Scalar() != "ipAddressType")
            refuse(setting, name + ": " + ticked(setting.Scalar()) + " is not supported");
      } else if (name == "x-amazon-apigateway-documentation" || name == "x-amazon-apigateway-importexport-version") {
        continue;  // documentation: may hold anything
      } else if (name == "info" || name == "servers" || name == "tags" || name == "externalDocs" ||
                 name == "components") {
        no_extensions(value, name);
      } else if (name.starts_with("x-") && !name.starts_with("x-amazon-apigateway")) {
        continue;
      } else {
        refuse_key(key, "the document");
      }
    }
    if (!versioned) refuse(root, "`openapi` is missing: the document must say its version, such as 3.0.1");
    if (!paths.IsDefined() || paths.IsNull()) refuse(root, "`paths` is missing");
    for (const auto& [path, item] : members(paths, "paths")) {
      if (path.Scalar().starts_with("x-") && !path.Scalar().starts_with("x-amazon-apigateway")) continue;
      resource(path, item);
    }
    check_siblings();
    return std::move(resources_);
  }

 private:
  [[noreturn]] static void refuse_key(const YAML::Node& key, std::string_view where) {
    const bool extension = key.Scalar().starts_with("x-amazon-");
    refuse(key, std::string(where) + ": " + ticked(key.Scalar()) +
                    (extension ? " is not supported" : " is not known in OpenAPI 3.0"));
  }

  // An ignored requirement would be an open door.
  static void check_security(const YAML::Node& key, const YAML::Node& value) {
    if (!empty(value)) refuse(key, "`security` is not supported: authorizers, IAM and API keys are not checked");
  }

  // Everything below a place where no extension is understood.
  void no_extensions(const YAML::Node& node, std::string_view where, int depth = 0) {
    if (depth > kDepthMax || ++nodes_ > kNodesMax) refuse(node, "the document is too large, or holds itself");
    if (node.IsSequence()) {
      for (const auto& item : node) no_extensions(item, where, depth + 1);
    } else if (node.IsMap()) {
      for (const auto& member : node) {
        if (member.first.IsScalar() && member.first.Scalar().starts_with(kExtension) &&
            member.first.Scalar() != "x-amazon-apigateway-tag-value")
          refuse_key(member.first, where);
        no_extensions(member.second, where, depth + 1);
      }
    }
  }

  void resource(const YAML::Node& path, const YAML::Node& item) {
    Resource resource;
    resource.path = path.Scalar();
    resource.line = line_of(path);
    resource.id = stable_id("resource " + resource.path, 6);
    resource.segments = segments(path);
    for (const auto& [key, value] : members(item, "path " + resource.path)) {
      const std::string& name = key.Scalar();
      static const std::set<std::string_view> kVerbs{"get", "put", "post", "delete", "options", "head", "patch"};
      if (kVerbs.contains(name) || name == kAnyMethod) {
        std::string verb = "ANY";
        if (name != kAnyMethod) {
          verb = name;
          for (char& c : verb) c = static_cast<char>(c - 'a' + 'A');
        }
        resource.methods.push_back(method(key, value, resource.path, std::move(verb)));
      } else if (name == "parameters" || name == "servers" || name == "summary" || name == "description") {
        no_extensions(value, resource.path);
      } else if (name == "trace") {
        refuse(key, resource.path + ": method `trace` is not supported");
      } else if (!name.starts_with("x-") || name.starts_with("x-amazon-apigateway")) {
        refuse_key(key, resource.path);
      }
    }
    resources_.push_back(std::move(resource));
  }

  static std::vector<Segment> segments(const YAML::Node& node) {
    const std::string& path = node.Scalar();
    if (path.empty() || path.front() != '/') refuse(node, "path " + ticked(path) + " must begin with /");
    std::vector<Segment> segments;
    std::set<std::string> names;
    std::string_view rest = std::string_view(path).substr(1);
    while (!rest.empty()) {
      const std::size_t slash = rest.find('/');
      std::string_view part = rest.substr(0, slash);
      rest = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
      if (part.empty()) refuse(node, "path " + ticked(path) + " has an empty segment");
      if (!segments.empty() && segments.back().kind == Segment::Kind::greedy)
        refuse(node, "path " + ticked(path) + ": a greedy parameter {name+} must be the last segment");
      Segment segment{Segment::Kind::literal, std::string(part)};
      if (part.front() == '{' && part.back() == '}' && part.size() > 2) {
        std::string_view name = part.substr(1, part.size() - 2);
        segment.kind = Segment::Kind::parameter;
        if (name.back() == '+') {
          segment.kind = Segment::Kind::greedy;
          name.remove_suffix(1);
        }
        segment.text = name;
        if (name.empty() || name.find_first_of("{}+") != std::string_view::npos)
          refuse(node, "path " + ticked(path) + ": " + ticked(part) + " is not a parameter such as {name} or {name+}");
        if (!names.insert(segment.text).second)
          refuse(node, "path " + ticked(path) + " has the parameter " + ticked(segment.text) + " twice");
      } else if (part.find_first_of("{}") != std::string_view::npos) {
        refuse(node, "path " + ticked(path) + ": a parameter must be a whole segment, " + ticked(part) + " is not");
      }
      segments.push_back(std::move(segment));
      if (segments.size() > kSegmentsMax)
        refuse(node, "path has more than " + std::to_string(kSegmentsMax) + " segments");
    }
    return segments;
  }

  // As the service has it, a place in the tree has one parameter at most, whatever it is called.
  void check_siblings() const {
    struct First {
      std::string name;
      const Resource* resource;
    };
    std::map<std::string, First> parameters;  // by the place's shape
    std::map<std::string, const Resource*> shapes;
    for (const Resource& resource : resources_) {
      std::string shape;
      for (const Segment& segment : resource.segments) {
        shape += '/';
        if (segment.kind == Segment::Kind::literal) {
          shape += segment.text;
          continue;
        }
        const std::string name = segment.kind == Segment::Kind::greedy ? segment.text + "+" : segment.text;
        auto [first, added] = parameters.emplace(shape, First{name, &resource});
        if (!added && first->second.name != name)
          throw ImportError{resource.line, "path " + ticked(resource.path) + ": a sibling (" +
                                               ticked("{" + first->second.name + "}") + " of " +
                                               ticked(first->second.resource->path) + ", line " +
                                               std::to_string(first->second.resource->line) + ") of {" + name +
                                               "} already has a variable path part; only one is allowed"};
        shape += segment.kind == Segment::Kind::greedy ? "{+}" : "{}";
      }
      auto [first, added] = shapes.emplace(shape, &resource);
      if (!added)  // the same but for a slash at the end
        throw ImportError{resource.line, "path " + ticked(resource.path) + " is the same as " +
                                             ticked(first->second->path) + " in line " +
                                             std::to_string(first->second->line)};
    }
  }

  Method method(const YAML::Node& at, const YAML::Node& operation, const std::string& path, std::string verb) {
    const std::string where = verb + " " + path;
    YAML::Node integration;
    for (const auto& [key, value] : members(operation, where)) {
      const std::string& name = key.Scalar();
      static const std::set<std::string_view> kHarmless{"tags",        "summary",    "description", "externalDocs",
                                                        "operationId", "parameters", "requestBody", "responses",
                                                        "callbacks",   "deprecated", "servers"};
      if (name == kIntegration) {
        integration.reset(value);
      } else if (name == "security") {
        check_security(key, value);
      } else if (kHarmless.contains(name)) {
        no_extensions(value, where);
      } else if (!name.starts_with("x-") || name.starts_with("x-amazon-apigateway")) {
        refuse_key(key, where);
      }
    }
    if (!integration.IsDefined() || integration.IsNull())
      refuse(at, where + ": " + ticked(kIntegration) + " is missing");
    Method method;
    method.verb = std::move(verb);
    method.line = line_of(at);
    method.selection.fill(Method::kNoResponse);
    read_integration(integration, where, method);
    return method;
  }

  void read_integration(const YAML::Node& node, const std::string& method_name, Method& method) {
    const std::string where = method_name + ": " + std::string(kIntegration);
    bool typed = false, uri = false;
    for (const auto& [key, value] : members(node, where)) {
      const std::string& name = key.Scalar();
      if (name == "type") {
        const std::string type = lower(text(value, where + " type"));
        if (type != "aws") refuse(value, where + ": type " + ticked(type) + " is not supported, `aws` is");
        typed = true;
      } else if (name == "uri") {
        read_uri(value, where, method);
        uri = true;
      } else if (name == "passthroughBehavior") {
        const std::string behavior = lower(text(value, where + " passthroughBehavior"));
        if (behavior == "when_no_match")
          method.passthrough = Passthrough::when_no_match;
        else if (behavior == "when_no_templates")
          method.passthrough = Passthrough::when_no_templates;
        else if (behavior == "never")
          method.passthrough = Passthrough::never;
        else
          refuse(value,
                 where + ": passthroughBehavior is when_no_match, when_no_templates or never, not " + ticked(behavior));
      } else if (name == "requestTemplates") {
        method.templates = read_templates(value, where + " requestTemplates");
      } else if (name == "requestParameters") {
        if (empty(value)) continue;
        for (const auto& [parameter, mapping] : members(value, where + " requestParameters")) {
          text(mapping, where + " requestParameters");
          // The service's protocol is called without HTTP: this one mapping says what is so anyway.
          if (lower(parameter.Scalar()) != "integration.request.header.content-type")
            refuse(parameter,
                   where + ": requestParameters " + ticked(parameter.Scalar()) +
                       " is not supported; of request parameters only integration.request.header.Content-Type is");
        }
      } else if (name == "responses") {
        read_responses(value, where, method);
      } else if (name == "httpMethod" || name == "credentials" || name == "cacheNamespace") {
        if (!value.IsNull()) text(value, where + " " + name);
      } else if (name == "connectionType") {
        if (text(value, where + " connectionType") != "INTERNET")
          refuse(value, where + ": connectionType " + ticked(value.Scalar()) + " is not supported");
      } else if (name == "cacheKeyParameters") {
        if (!empty(value)) refuse(key, where + ": `cacheKeyParameters` is not supported");
      } else {
        refuse(key, where + ": " + ticked(name) + " is not supported");
      }
    }
    if (!typed) refuse(node, where + ": `type` is missing");
    if (!uri) refuse(node, where + ": `uri` is missing");
  }

  void read_uri(const YAML::Node& node, const std::string& where, Method& method) const {
    const std::string uri = text(node, where + " uri");
    std::vector<std::string> parts;
    std::string_view rest = uri;
    while (parts.size() < 5 && rest.find(':') != std::string_view::npos) {
      parts.emplace_back(rest.substr(0, rest.find(':')));
      rest.remove_prefix(rest.find(':') + 1);
    }
    const bool shape = parts.size() == 5 && parts[0] == "arn" && (parts[1] == "aws" || parts[1].starts_with("aws-")) &&
                       parts[2] == "apigateway" && rest.starts_with("action/");
    if (!shape)
      refuse(node, where + ": uri " + ticked(uri) +
                       " is not supported: arn:aws:apigateway:{region}:{service}:action/{Action} is");
    method.service = parts[4];
    method.action = rest.substr(std::string_view("action/").size());
    if (!services_.has(method.service, method.action))
      refuse(node, where + ": uri " + ticked(uri) + ": there is no action " + ticked(method.action) +
                       " of the service " + ticked(method.service));
  }

  static std::vector<TypedTemplate> read_templates(const YAML::Node& node, const std::string& where) {
    std::vector<TypedTemplate> templates;
    if (empty(node)) return templates;
    for (const auto& [type, source] : members(node, where)) {
      std::string content_type = media_type(type.Scalar());
      for (const TypedTemplate& known : templates)
        if (known.content_type == content_type) refuse(type, where + " has " + ticked(content_type) + " twice");
      auto compiled = vtl::Template::compile(text(source, where + " " + content_type));
      if (!compiled) {
        const vtl::TemplateError& error = compiled.error();
        refuse(source, where + " " + content_type + ", line " + std::to_string(error.at.line) + ", column " +
                           std::to_string(error.at.column) + " of the template: " + error.what);
      }
      templates.push_back({std::move(content_type), std::move(*compiled)});
    }
    return templates;
  }

  static int read_status(const YAML::Node& node, const std::string& where) {
    const std::string digits = text(node, where + " statusCode");
    int status = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), status);
    if (error != std::errc{} || end != digits.data() + digits.size() || status < 200 || status > 599)
      refuse(node, where + ": statusCode " + ticked(digits) + " must be a number from 200 to 599");
    return status;
  }

  static void read_responses(const YAML::Node& node, const std::string& where, Method& method) {
    if (empty(node)) return;
    std::optional<std::int16_t> otherwise;
    for (const auto& [pattern, value] : members(node, where + " responses")) {
      const std::string here = where + " responses " + ticked(pattern.Scalar());
      IntegrationResponse response;
      bool has_status = false;
      for (const auto& [key, setting] : members(value, here)) {
        const std::string& name = key.Scalar();
        if (name == "statusCode") {
          response.status = read_status(setting, here);
          has_status = true;
        } else if (name == "responseTemplates") {
          response.templates = read_templates(setting, here + " responseTemplates");
        } else if (name == "responseParameters") {
          response.headers = read_headers(setting, here + " responseParameters");
        } else {
          refuse(key, here + ": " + ticked(name) + " is not supported");
        }
      }
      if (!has_status) refuse(value.IsMap() && value.size() ? value : pattern, here + ": `statusCode` is missing");
      const auto index = static_cast<std::int16_t>(method.responses.size());
      method.responses.push_back(std::move(response));
      if (pattern.Scalar() == "default" || pattern.Scalar().empty()) {
        if (otherwise) refuse(pattern, where + " responses has two defaults");
        otherwise = index;
      } else {
        select(pattern, here, index, method);
      }
    }
    if (otherwise)
      for (std::int16_t& selected : method.selection)
        if (selected == Method::kNoResponse) selected = *otherwise;
  }

  // The first pattern that matches the whole status wins. There are 500 statuses: each is tried now, none per request.
  static void select(const YAML::Node& pattern, const std::string& here, std::int16_t index, Method& method) {
    if (pattern.Scalar().size() > kPatternMax) refuse(pattern, here + ": the pattern is too long");
    try {
      // Without back-references, but also without the backtracking that makes "((\d*)*)*x" run for hours.
      const std::regex compiled(pattern.Scalar(), std::regex::ECMAScript | std::regex_constants::__polynomial);
      for (int status = Method::kStatusMin; status <= Method::kStatusMax; ++status) {
        std::int16_t& selected = method.selection[static_cast<std::size_t>(status - Method::kStatusMin)];
        if (selected == Method::kNoResponse && std::regex_match(std::to_string(status), compiled)) selected = index;
      }
    } catch (const std::regex_error&) {
      refuse(pattern, here + ": not a regular expression, or one with back-references or too large counts");
    }
  }

  static std::vector<std::pair<std::string, std::string>> read_headers(const YAML::Node& node,
                                                                       const std::string& where) {
    constexpr std::string_view kPrefix = "method.response.header.";
    std::vector<std::pair<std::string, std::string>> headers;
    if (empty(node)) return headers;
    for (const auto& [key, value] : members(node, where)) {
      const std::string& name = key.Scalar();
      if (!name.starts_with(kPrefix) || !vtl::is_header_name(std::string_view(name).substr(kPrefix.size())))
        refuse(key, where + ": " + ticked(name) + " is not supported, method.response.header.{name} is");
      std::string literal = text(value, where);
      if (literal.size() < 2 || literal.front() != '\'' || literal.back() != '\'')
        refuse(value, where + ": " + ticked(literal) +
                          " is not supported: only a literal such as 'application/json', with its quotes, is");
      literal = literal.substr(1, literal.size() - 2);
      if (std::any_of(literal.begin(), literal.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }))
        refuse(value, where + ": a header's value cannot have control characters");
      headers.emplace_back(name.substr(kPrefix.size()), std::move(literal));
    }
    return headers;
  }

  const ServiceCaller& services_;
  std::vector<Resource> resources_;
  std::size_t nodes_ = 0;
};

}  // namespace

std::string stable_id(std::string_view text, std::size_t characters) {
  static constexpr char kAlphabet[] = "0123456789abcdefghijklmnopqrstuvwxyz";
  const auto digest = sha256(text);
  std::string id;
  for (std::size_t i = 0; i < characters; ++i) id += kAlphabet[digest[i] % 36];
  return id;
}

Result<std::vector<Resource>> import_openapi(const ApiSpec& spec, const ServiceCaller& services) {
  auto error = [&](int line, const std::string& what) {
    std::string place = spec.openapi_file.empty() ? "API " + spec.name : spec.openapi_file.string();
    if (line > 0) place += ":" + std::to_string(line);
    return Error{Errc::invalid, place + ": " + what};
  };
  try {
    return Importer(services).import(YAML::Load(spec.openapi_text));
  } catch (const ImportError& refused) {
    return error(refused.line, refused.what);
  } catch (const YAML::Exception& bad) {
    return error(bad.mark.is_null() ? 0 : bad.mark.line + 1, "not YAML or JSON: " + bad.msg);
  }
}

}  // namespace millrace::gateway
