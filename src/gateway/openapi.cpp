#include "gateway/openapi.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <regex>
#include <set>

#include "gateway/vtl/nodes.hpp"
#include "millrace/base/digest.hpp"
#include "millrace/base/nearest.hpp"
#include "millrace/base/printable.hpp"
#include "millrace/codec/yaml.hpp"

namespace millrace::gateway {
namespace {

constexpr std::string_view kExtension = "x-amazon-apigateway-";
constexpr std::string_view kIntegration = "x-amazon-apigateway-integration";
constexpr std::string_view kAnyMethod = "x-amazon-apigateway-any-method";
constexpr std::size_t kMistakesMax = 1000;  // more are not kept
constexpr std::size_t kSegmentsMax = 64;
constexpr std::size_t kPatternMax = 256;

using codec::TextPlace;
using codec::YamlDocument;

/// Thrown where the document cannot be read further, and kept where it can again: all mistakes are told.
struct Mistake {
  TextPlace at;
  std::string what;
};

std::string ticked(std::string_view text) { return "`" + printable(text, 200) + "`"; }

std::string joined(std::span<const std::string_view> words) {
  std::string out;
  for (std::string_view word : words) out.append(out.empty() ? "" : ", ").append(word);
  return out;
}

/// "; did you mean `post`?" where one of `known` is near.
std::string hint(std::string_view word, std::span<const std::string_view> known) {
  const std::string_view near = nearest(word, known);
  return near.empty() ? "" : "; did you mean " + ticked(near) + "?";
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
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

/// `application/json`, as RFC 9110 spells media types.
bool is_media_type(std::string_view type) {
  const std::size_t slash = type.find('/');
  return slash != std::string_view::npos && vtl::is_header_name(type.substr(0, slash)) &&
         vtl::is_header_name(type.substr(slash + 1));
}

class Importer {
 public:
  Importer(const YamlDocument& document, const ServiceCaller& services) : document_(document), services_(services) {
    for (const codec::YamlMistake& each : document.mistakes())
      mistakes_.push_back({each.at, each.path.empty() ? each.what : each.path + ": " + each.what});
    of_document_ = mistakes_.size();
  }

  /// Resources, unless mistakes() has any.
  std::vector<Resource> import() {
    if (document_.readable()) guarded([&] { read_root(document_.root()); });
    check_siblings();
    return std::move(resources_);
  }
  /// In the order of the file.
  std::vector<Mistake> mistakes() {
    std::stable_sort(mistakes_.begin(), mistakes_.end(), [](const Mistake& a, const Mistake& b) {
      return std::pair(a.at.line, a.at.column) < std::pair(b.at.line, b.at.column);
    });
    return std::move(mistakes_);
  }

 private:
  [[noreturn]] void refuse(const YAML::Node& at, std::string what) const {
    throw Mistake{document_.place(at), std::move(what)};
  }
  template <class Read>
  void guarded(Read&& read) {
    try {
      read();
    } catch (Mistake& mistake) {
      const auto same_place = [&](const Mistake& each) {
        return each.at.line == mistake.at.line && each.at.column == mistake.at.column;
      };
      const auto end = mistakes_.begin() + static_cast<std::ptrdiff_t>(of_document_);
      if (std::any_of(mistakes_.begin(), end, same_place)) return;
      if (mistakes_.size() < kMistakesMax) mistakes_.push_back(std::move(mistake));
    }
  }
  /// Calls `read` for each member of an object; a mistake in one does not hide those of the next.
  template <class Read>
  void each_member(const YAML::Node& map, std::string_view what, Read&& read) {
    if (!map.IsMap()) refuse(map, std::string(what) + " must be an object");
    for (const auto& [key, value] : YamlDocument::members(map)) guarded([&] { read(key, value); });
  }
  std::string text(const YAML::Node& node, std::string_view what) const {
    if (!node.IsScalar()) refuse(node, std::string(what) + " must be a text");
    return node.Scalar();
  }
  [[noreturn]] void refuse_key(const YAML::Node& key, std::string_view where,
                               std::span<const std::string_view> known = {}) const {
    const bool extension = key.Scalar().starts_with("x-amazon-");
    refuse(key, std::string(where) + ": " + ticked(key.Scalar()) +
                    (extension ? " is not supported" : " is not known in OpenAPI 3.0") + hint(key.Scalar(), known));
  }
  static bool foreign_extension(std::string_view name) {
    return name.starts_with("x-") && !name.starts_with("x-amazon-apigateway");
  }

  void read_root(const YAML::Node& root) {
    if (root.IsNull()) refuse(root, "the file is empty: an OpenAPI document with `openapi` and `paths` is expected");
    if (!root.IsMap()) refuse(root, "an OpenAPI document is an object with `openapi` and `paths`");
    static constexpr std::string_view kKnown[] = {"openapi",    "info",     "servers", "paths",
                                                  "components", "security", "tags",    "externalDocs"};
    YAML::Node paths;
    bool versioned = false, other_version = false, misspelt_paths = false;
    each_member(root, "the document", [&](const YAML::Node& key, const YAML::Node& value) {
      const std::string& name = key.Scalar();
      if (name == "swagger") {
        other_version = true;
        refuse(key, "Swagger " + (value.IsScalar() ? printable(value.Scalar()) : std::string("documents")) +
                        " is not supported: export the API as OpenAPI 3.0 (export type oas30)");
      }
      if (name == "openapi") {
        versioned = true;
        const std::string version = text(value, "openapi");
        if (version == "3.0" || version.starts_with("3.0.")) return;
        other_version = true;
        refuse(value, "OpenAPI " + printable(version) + " is not supported: 3.0 is");
      } else if (name == "paths") {
        paths.reset(value);
      } else if (name == "security") {
        check_security(key, value);
      } else if (name == "x-amazon-apigateway-endpoint-configuration") {
        each_member(value, name, [&](const YAML::Node& setting, const YAML::Node&) {
          if (setting.Scalar() != "types" && setting.Scalar() != "ipAddressType")
            refuse(setting, name + ": " + ticked(setting.Scalar()) + " is not supported");
        });
      } else if (name == "x-amazon-apigateway-documentation" || name == "x-amazon-apigateway-importexport-version") {
        return;  // documentation: may hold anything
      } else if (std::find(std::begin(kKnown), std::end(kKnown), name) != std::end(kKnown)) {
        no_extensions(value, name);
      } else if (!foreign_extension(name)) {
        versioned = versioned || nearest(name, kKnown) == "openapi";
        misspelt_paths = misspelt_paths || nearest(name, kKnown) == "paths";
        refuse_key(key, "the document", kKnown);
      }
    });
    if (other_version) return;  // what else is there means something else
    if (!versioned) refuse(root, "`openapi` is missing: the document must say its version, such as 3.0.1");
    if (misspelt_paths) return;
    if (!paths.IsDefined() || paths.IsNull()) refuse(root, "`paths` is missing");
    each_member(paths, "`paths`", [&](const YAML::Node& path, const YAML::Node& item) {
      if (!foreign_extension(path.Scalar())) resource(path, item);
    });
  }

  // An ignored requirement would be an open door.
  void check_security(const YAML::Node& key, const YAML::Node& value) const {
    if (!empty(value)) refuse(key, "`security` is not supported: authorizers, IAM and API keys are not checked");
  }

  // Everything below a place where no extension is understood.
  void no_extensions(const YAML::Node& node, std::string_view where) {
    if (node.IsSequence()) {
      for (const auto& item : node) no_extensions(item, where);
    } else if (node.IsMap()) {
      for (const auto& [key, value] : YamlDocument::members(node)) {
        if (key.Scalar().starts_with(kExtension) && key.Scalar() != "x-amazon-apigateway-tag-value")
          guarded([&, &at = key] { refuse_key(at, where); });
        else
          no_extensions(value, where);
      }
    }
  }

  void resource(const YAML::Node& path, const YAML::Node& item) {
    Resource resource;
    resource.path = path.Scalar();
    resource.at = document_.place(path);
    resource.id = stable_id("resource " + resource.path, 6);
    resource.segments = segments(path);
    static constexpr std::string_view kVerbs[] = {"get",     "put",  "post",  "delete",
                                                  "options", "head", "patch", kAnyMethod};
    const std::string where = "path " + ticked(resource.path);
    each_member(item, where, [&](const YAML::Node& key, const YAML::Node& value) {
      const std::string& name = key.Scalar();
      if (std::find(std::begin(kVerbs), std::end(kVerbs), name) != std::end(kVerbs)) {
        std::string verb = "ANY";
        if (name != kAnyMethod) {
          verb = name;
          for (char& c : verb) c = static_cast<char>(c - 'a' + 'A');
        }
        resource.methods.push_back(method(key, value, resource, std::move(verb)));
      } else if (name == "parameters") {
        check_parameters(value, where, resource);
      } else if (name == "servers" || name == "summary" || name == "description") {
        no_extensions(value, where);
      } else if (name == "trace") {
        refuse(key, where + ": method `trace` is not supported");
      } else if (!foreign_extension(name)) {
        refuse_key(key, where, kVerbs);
      }
    });
    resources_.push_back(std::move(resource));
  }

  std::vector<Segment> segments(const YAML::Node& node) const {
    const std::string& path = node.Scalar();
    const std::string where = "path " + ticked(path);
    if (path.empty() || path.front() != '/') refuse(node, where + " must begin with /");
    std::vector<Segment> segments;
    std::set<std::string> names;
    std::string_view rest = std::string_view(path).substr(1);
    while (!rest.empty()) {
      const std::size_t slash = rest.find('/');
      std::string_view part = rest.substr(0, slash);
      rest = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
      if (part.empty()) refuse(node, where + " has an empty segment");
      if (!segments.empty() && segments.back().kind == Segment::Kind::greedy)
        refuse(node, where + ": a greedy parameter {name+} must be the last segment");
      Segment segment{Segment::Kind::literal, std::string(part)};
      if (part.front() == '{' && part.back() == '}' && part.size() > 2) {
        std::string_view name = part.substr(1, part.size() - 2);
        segment.kind = Segment::Kind::parameter;
        if (name.back() == '+') {
          segment.kind = Segment::Kind::greedy;
          name.remove_suffix(1);
        }
        segment.text = name;
        if (name.empty() || name.find_first_of("{}+ \t\r\n") != std::string_view::npos)
          refuse(node, where + ": " + ticked(part) + " is not a parameter such as {name} or {name+}");
        if (!names.insert(segment.text).second)
          refuse(node, where + " has the parameter " + ticked(segment.text) + " twice");
      } else if (part.find_first_of("{}") != std::string_view::npos) {
        refuse(node, where + ": a parameter must be a whole segment, " + ticked(part) + " is not");
      } else {
        const auto wrong = std::find_if_not(part.begin(), part.end(), in_segment);
        if (wrong != part.end())
          refuse(node, where + ": " + ticked(first_character(std::string_view(wrong, part.end()))) +
                           " cannot stand in a path: a query is no part of it, and escapes are written plainly");
      }
      segments.push_back(std::move(segment));
      if (segments.size() > kSegmentsMax)
        refuse(node, where + " has more than " + std::to_string(kSegmentsMax) + " segments");
    }
    return segments;
  }

  // What a URL's path can hold, escapes apart: they are undone before a route is looked up.
  static bool in_segment(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-._~!$&'()*+,;=:@").find(c) != std::string_view::npos;
  }

  // A parameter that the path has not would be empty for ever.
  void check_parameters(const YAML::Node& node, const std::string& where, const Resource& resource) {
    no_extensions(node, where);
    if (node.IsNull()) return;
    if (!node.IsSequence()) refuse(node, where + ": `parameters` must be a list");
    std::vector<std::string_view> in_path;
    for (const Segment& segment : resource.segments)
      if (segment.kind != Segment::Kind::literal) in_path.push_back(segment.text);
    std::set<std::pair<std::string, std::string>> seen;
    for (const YAML::Node& parameter : node) {
      guarded([&] {
        if (!parameter.IsMap()) refuse(parameter, where + ": a parameter must be an object with `name` and `in`");
        if (parameter["$ref"]) return;
        const YAML::Node name = parameter["name"], in = parameter["in"];
        if (!name || !name.IsScalar() || !in || !in.IsScalar())
          refuse(parameter, where + ": a parameter must have `name` and `in`");
        if (!seen.emplace(in.Scalar(), name.Scalar()).second)
          refuse(name, where + " has the " + printable(in.Scalar()) + " parameter " + ticked(name.Scalar()) + " twice");
        static constexpr std::string_view kPlaces[] = {"path", "query", "header", "cookie"};
        if (std::find(std::begin(kPlaces), std::end(kPlaces), in.Scalar()) == std::end(kPlaces))
          refuse(in, where + ": a parameter is in one of " + joined(kPlaces) + ", not in " + ticked(in.Scalar()));
        // The path writes a greedy one with its +, its declaration without or with it.
        std::string_view plain = name.Scalar();
        if (plain.ends_with('+')) plain.remove_suffix(1);
        if (in.Scalar() == "path" && std::find(in_path.begin(), in_path.end(), plain) == in_path.end())
          refuse(name, where + ": the path has no parameter " + ticked(name.Scalar()) + hint(plain, in_path));
      });
    }
  }

  // As the service has it, a place in the tree has one parameter at most, whatever it is called.
  void check_siblings() {
    struct First {
      std::string name;
      const Resource* resource;
    };
    std::map<std::string, First> parameters;  // by the place's shape
    std::map<std::string, const Resource*> shapes;
    for (const Resource& resource : resources_) {
      guarded([&] {
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
            throw Mistake{resource.at, "path " + ticked(resource.path) + ": {" + name + "} stands where " +
                                           ticked(first->second.resource->path) + " in line " +
                                           std::to_string(first->second.resource->at.line) + " has {" +
                                           first->second.name + "}: a place in a path has one parameter"};
          shape += segment.kind == Segment::Kind::greedy ? "{+}" : "{}";
        }
        auto [first, added] = shapes.emplace(shape, &resource);
        if (!added)  // the same but for a slash at the end
          throw Mistake{resource.at, "path " + ticked(resource.path) + " is the same as " +
                                         ticked(first->second->path) + " in line " +
                                         std::to_string(first->second->at.line)};
      });
    }
  }

  Method method(const YAML::Node& at, const YAML::Node& operation, const Resource& resource, std::string verb) {
    const std::string where = verb + " " + printable(resource.path, 200);
    static constexpr std::string_view kHarmless[] = {"tags",        "summary",    "description", "externalDocs",
                                                     "operationId", "parameters", "requestBody", "responses",
                                                     "callbacks",   "deprecated", "servers",     "security"};
    YAML::Node integration, responses;
    bool misspelt = false;
    each_member(operation, where, [&](const YAML::Node& key, const YAML::Node& value) {
      const std::string& name = key.Scalar();
      if (name == kIntegration) {
        integration.reset(value);
      } else if (name == "security") {
        check_security(key, value);
      } else if (name == "parameters") {
        check_parameters(value, where, resource);
      } else if (std::find(std::begin(kHarmless), std::end(kHarmless), name) != std::end(kHarmless)) {
        if (name == "responses") responses.reset(value);
        no_extensions(value, where);
      } else if (!foreign_extension(name)) {
        std::vector<std::string_view> known(std::begin(kHarmless), std::end(kHarmless));
        known.push_back(kIntegration);
        misspelt = misspelt || nearest(name, known) == kIntegration;
        refuse_key(key, where, known);
      }
    });
    Method method;
    method.verb = std::move(verb);
    method.selection.fill(Method::kNoResponse);
    if (misspelt) return method;
    if (!integration.IsDefined() || integration.IsNull())
      refuse(at, where + ": " + ticked(kIntegration) + " is missing");
    read_integration(integration, where, responses, method);
    return method;
  }

  void read_integration(const YAML::Node& node, const std::string& method_name, const YAML::Node& declared,
                        Method& method) {
    const std::string where = method_name + ": " + std::string(kIntegration);
    bool typed = false, uri = false;
    each_member(node, where, [&](const YAML::Node& key, const YAML::Node& value) {
      const std::string& name = key.Scalar();
      if (name == "type") {
        typed = true;
        const std::string type = lower(text(value, where + " type"));
        if (type != "aws") refuse(value, where + ": type " + ticked(type) + " is not supported, `aws` is");
      } else if (name == "uri") {
        uri = true;
        read_uri(value, where, method);
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
        if (empty(value)) return;
        each_member(value, where + " requestParameters", [&](const YAML::Node& parameter, const YAML::Node& mapping) {
          text(mapping, where + " requestParameters");
          // The service's protocol is called without HTTP: this one mapping says what is so anyway.
          if (lower(parameter.Scalar()) != "integration.request.header.content-type")
            refuse(parameter,
                   where + ": requestParameters " + ticked(parameter.Scalar()) +
                       " is not supported; of request parameters only integration.request.header.Content-Type is");
        });
      } else if (name == "responses") {
        read_responses(value, where, declared, method);
      } else if (name == "httpMethod" || name == "credentials" || name == "cacheNamespace") {
        if (!value.IsNull()) text(value, where + " " + name);
      } else if (name == "connectionType") {
        if (text(value, where + " connectionType") != "INTERNET")
          refuse(value, where + ": connectionType " + ticked(value.Scalar()) + " is not supported");
      } else if (name == "cacheKeyParameters") {
        if (!empty(value)) refuse(key, where + ": `cacheKeyParameters` is not supported");
      } else {
        static constexpr std::string_view kKnown[] = {"type",
                                                      "uri",
                                                      "passthroughBehavior",
                                                      "requestTemplates",
                                                      "responses",
                                                      "httpMethod",
                                                      "requestParameters",
                                                      "credentials",
                                                      "cacheNamespace",
                                                      "connectionType",
                                                      "cacheKeyParameters"};
        typed = typed || nearest(name, kKnown) == "type";
        uri = uri || nearest(name, kKnown) == "uri";
        refuse(key, where + ": " + ticked(name) + " is not supported" + hint(name, kKnown));
      }
    });
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
    if (services_.has(method.service, method.action)) return;
    const std::vector<std::string_view> known = services_.actions(method.service);
    if (known.empty())
      refuse(node, where + ": uri " + ticked(uri) + ": there is no service " + ticked(method.service) +
                       " with an action " + ticked(method.action));
    refuse(node, where + ": uri " + ticked(uri) + ": there is no action " + ticked(method.action) + " of the service " +
                     ticked(method.service) + hint(method.action, known));
  }

  std::vector<TypedTemplate> read_templates(const YAML::Node& node, const std::string& where) {
    std::vector<TypedTemplate> templates;
    if (empty(node)) return templates;
    each_member(node, where, [&](const YAML::Node& type, const YAML::Node& source) {
      std::string content_type = media_type(type.Scalar());
      if (!is_media_type(content_type) && content_type != "$default")
        refuse(type, where + ": " + ticked(type.Scalar()) + " is not a content type such as application/json");
      for (const TypedTemplate& known : templates)
        if (known.content_type == content_type) refuse(type, where + " has " + ticked(content_type) + " twice");
      auto compiled = vtl::Template::compile(text(source, where + " " + content_type));
      if (!compiled) {
        const vtl::TemplateError& error = compiled.error();
        throw Mistake{document_.place_in(source, error.offset).value_or(document_.place(source)),
                      where + " " + content_type + ", line " + std::to_string(error.at.line) + ", column " +
                          std::to_string(error.at.column) + " of the template: " + printable(error.what, 400)};
      }
      templates.push_back({std::move(content_type), std::move(*compiled)});
    });
    return templates;
  }

  int read_status(const YAML::Node& node, const std::string& where, const YAML::Node& declared) const {
    const std::string digits = text(node, where + " statusCode");
    int status = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), status);
    if (error != std::errc{} || end != digits.data() + digits.size() || status < 200 || status > 599)
      refuse(node, where + ": statusCode " + ticked(digits) + " must be a number from 200 to 599");
    // The service refuses a response that the method does not have.
    if (!declared.IsDefined() || !declared.IsMap()) return status;
    std::vector<std::string_view> known;
    const auto members = YamlDocument::members(declared);
    for (const auto& [key, value] : members) {
      const std::string& name = key.Scalar();
      if (name == digits || name == "default" || lower(name) == digits.substr(0, 1) + "xx") return status;
      known.push_back(name);
    }
    refuse(node, where + ": statusCode " + ticked(digits) + " is none of the operation's `responses` (" +
                     printable(joined(known), 200) + ")");
  }

  void read_responses(const YAML::Node& node, const std::string& where, const YAML::Node& declared, Method& method) {
    if (empty(node)) return;
    std::optional<std::int16_t> otherwise;
    each_member(node, where + " responses", [&](const YAML::Node& pattern, const YAML::Node& value) {
      const std::string here = where + " responses " + ticked(pattern.Scalar());
      IntegrationResponse response;
      bool has_status = false;
      each_member(value, here, [&](const YAML::Node& key, const YAML::Node& setting) {
        const std::string& name = key.Scalar();
        if (name == "statusCode") {
          has_status = true;
          response.status = read_status(setting, here, declared);
        } else if (name == "responseTemplates") {
          response.templates = read_templates(setting, here + " responseTemplates");
        } else if (name == "responseParameters") {
          response.headers = read_headers(setting, here + " responseParameters");
        } else {
          static constexpr std::string_view kKnown[] = {"statusCode", "responseTemplates", "responseParameters"};
          has_status = has_status || nearest(name, kKnown) == kKnown[0];
          refuse(key, here + ": " + ticked(name) + " is not supported" + hint(name, kKnown));
        }
      });
      if (!has_status) refuse(value.size() ? value : pattern, here + ": `statusCode` is missing");
      const auto index = static_cast<std::int16_t>(method.responses.size());
      method.responses.push_back(std::move(response));
      if (pattern.Scalar() == "default" || pattern.Scalar().empty()) {
        if (otherwise) refuse(pattern, where + " responses has two defaults");
        otherwise = index;
      } else {
        select(pattern, here, index, method);
      }
    });
    if (otherwise)
      for (std::int16_t& selected : method.selection)
        if (selected == Method::kNoResponse) selected = *otherwise;
  }

  // The first pattern that matches the whole status wins. There are 500 statuses: each is tried now, none per request.
  void select(const YAML::Node& pattern, const std::string& here, std::int16_t index, Method& method) const {
    if (pattern.Scalar().size() > kPatternMax)
      refuse(pattern, here + ": the pattern is longer than " + std::to_string(kPatternMax) + " characters");
    bool matches = false;
    try {
      // Without back-references, but also without the backtracking that makes "((\d*)*)*x" run for hours.
      const std::regex compiled(pattern.Scalar(), std::regex::ECMAScript | std::regex_constants::__polynomial);
      for (int status = Method::kStatusMin; status <= Method::kStatusMax; ++status) {
        if (!std::regex_match(std::to_string(status), compiled)) continue;
        matches = true;
        std::int16_t& selected = method.selection[static_cast<std::size_t>(status - Method::kStatusMin)];
        if (selected == Method::kNoResponse) selected = index;
      }
    } catch (const std::regex_error&) {
      refuse(pattern,
             here + ": is not a regular expression such as 4\\d{2}, or has back-references or too large counts");
    }
    if (!matches)
      refuse(pattern,
             here + ": matches no status from 100 to 599: write a status, or a regular expression such as 4\\d{2}");
  }

  std::vector<std::pair<std::string, std::string>> read_headers(const YAML::Node& node, const std::string& where) {
    constexpr std::string_view kPrefix = "method.response.header.";
    std::vector<std::pair<std::string, std::string>> headers;
    if (empty(node)) return headers;
    each_member(node, where, [&](const YAML::Node& key, const YAML::Node& value) {
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
    });
    return headers;
  }

  const YamlDocument& document_;
  const ServiceCaller& services_;
  std::vector<Resource> resources_;
  std::vector<Mistake> mistakes_;
  std::size_t of_document_ = 0;  // as many of them are about the document's form: another there would follow from it
};

}  // namespace

std::string stable_id(std::string_view text, std::size_t characters) {
  static constexpr char kAlphabet[] = "0123456789abcdefghijklmnopqrstuvwxyz";
  const auto digest = sha256(text);
  std::string id;
  for (std::size_t i = 0; i < characters; ++i) id += kAlphabet[digest[i] % 36];
  return id;
}

std::string place_text(const ApiSpec& spec, TextPlace at) {
  std::string place = spec.openapi_file.empty() ? "API " + spec.name : spec.openapi_file.string();
  if (at.line > 0) place += ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
  return printable(place, 4096) + ": ";
}

Result<std::vector<Resource>> import_openapi(const ApiSpec& spec, const ServiceCaller& services) {
  const YamlDocument document(spec.openapi_text);
  Importer importer(document, services);
  std::vector<Resource> resources = importer.import();
  std::string lines;
  for (const Mistake& mistake : importer.mistakes())
    lines.append(lines.empty() ? "" : "\n").append(place_text(spec, mistake.at)).append(mistake.what);
  if (!lines.empty()) return Error{Errc::invalid, std::move(lines)};
  return resources;
}

}  // namespace millrace::gateway
