#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/vtl/template.hpp"
#include "millrace/codec/yaml.hpp"

/// An API as it was imported: immutable once deployed.
namespace millrace::gateway {

enum class Passthrough { when_no_match, when_no_templates, never };

/// A template and the content type it is for: lower case, without parameters; `$default` for any.
struct TypedTemplate {
  std::string content_type;
  vtl::Template compiled;
};

struct IntegrationResponse {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;  ///< literals
  std::vector<TypedTemplate> templates;
};

/// A method of a resource with its integration.
struct Method {
  static constexpr int kStatusMin = 100, kStatusMax = 599;
  static constexpr std::int16_t kNoResponse = -1;

  std::string verb;  ///< upper case; ANY answers every method without its own
  std::string service, action;
  Passthrough passthrough = Passthrough::when_no_match;
  std::vector<TypedTemplate> templates;
  std::vector<IntegrationResponse> responses;
  /// By the service's status: which of `responses`. Selection patterns were run when the API was imported.
  std::array<std::int16_t, kStatusMax - kStatusMin + 1> selection{};

  const IntegrationResponse* response_for(int status) const noexcept {
    if (status < kStatusMin || status > kStatusMax) return nullptr;
    const std::int16_t index = selection[static_cast<std::size_t>(status - kStatusMin)];
    return index == kNoResponse ? nullptr : &responses[static_cast<std::size_t>(index)];
  }
};

/// One segment of a resource's path.
struct Segment {
  enum class Kind { literal, parameter, greedy } kind = Kind::literal;
  std::string text;  ///< the literal, or the parameter's name
};

struct Resource {
  std::string path;  ///< as declared: `/streams/{stream-name}`
  std::string id;    ///< six characters
  std::vector<Segment> segments;
  std::vector<Method> methods;
  codec::TextPlace at;  ///< in its file
};

struct Api {
  std::string name, id;
  std::filesystem::path file;  ///< where it was declared
  std::vector<std::string> stages;
  std::vector<Resource> resources;
};

}  // namespace millrace::gateway
