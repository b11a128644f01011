#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gateway/api.hpp"

namespace millrace::gateway {

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
};
template <class T>
using TextMap = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

/// Finds the method for a path, a segment at a time: what a lookup costs does not grow with the number of routes. A
/// literal goes before a parameter, a parameter before a greedy one; empty segments do not count. What is added must
/// outlive this.
class Router {
 public:
  struct Target {
    const Api* api;
    const Resource* resource;
    const Method* method;
  };

  void add(const Api& api, const Resource& resource);
  /// @param path      raw
  /// @param captured  cleared; then for each parameter of the resource, in order, the raw text it stands for. Nothing
  /// that
  ///                  is found is decoded before it is known to be used.
  /// @return null when no resource has the path, or the resource not the method
  const Target* find(std::string_view path, std::string_view verb, std::vector<std::string_view>& captured) const;

 private:
  struct Node {
    TextMap<std::unique_ptr<Node>> literals;
    std::unique_ptr<Node> parameter, greedy;
    std::vector<Target> targets;
  };
  static const Node* descend(const Node& node, std::string_view rest, std::vector<std::string_view>& captured);

  Node root_;
};

/// Takes the first segment off `path` (with the slashes before it); empty when there is none.
std::string_view take_segment(std::string_view& path) noexcept;
/// Whether one path can belong to both.
bool overlap(const Resource& a, const Resource& b) noexcept;
/// Whether exactly the same paths belong to both.
bool same_paths(const Resource& a, const Resource& b) noexcept;

}  // namespace millrace::gateway
