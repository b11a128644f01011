#include "gateway/router.hpp"

#include <algorithm>

#include "millrace/codec/percent.hpp"

namespace millrace::gateway {

std::string_view take_segment(std::string_view& path) noexcept {
  const std::size_t begin = std::min(path.find_first_not_of('/'), path.size());
  path.remove_prefix(begin);
  const std::size_t end = std::min(path.find('/'), path.size());
  std::string_view segment = path.substr(0, end);
  path.remove_prefix(end);
  return segment;
}

void Router::add(const Api& api, const Resource& resource) {
  Node* node = &root_;
  for (const Segment& segment : resource.segments) {
    std::unique_ptr<Node>& next = segment.kind == Segment::Kind::literal     ? node->literals[segment.text]
                                  : segment.kind == Segment::Kind::parameter ? node->parameter
                                                                             : node->greedy;
    if (!next) next = std::make_unique<Node>();
    node = next.get();
  }
  for (const Method& method : resource.methods) node->targets.push_back({&api, &resource, &method});
}

// As deep as the deepest route at most, whatever the path.
const Router::Node* Router::descend(const Node& node, std::string_view rest, std::vector<std::string_view>& captured) {
  std::string_view after = rest;
  const std::string_view segment = take_segment(after);
  if (segment.empty()) return node.targets.empty() ? nullptr : &node;
  auto literal = segment.find('%') == std::string_view::npos ? node.literals.find(segment)
                                                             : node.literals.find(codec::decode_percent(segment));
  if (literal != node.literals.end())
    if (const Node* found = descend(*literal->second, after, captured)) return found;
  if (node.parameter) {
    captured.push_back(segment);
    if (const Node* found = descend(*node.parameter, after, captured)) return found;
    captured.pop_back();
  }
  if (!node.greedy || node.greedy->targets.empty()) return nullptr;
  captured.push_back(rest);
  return node.greedy.get();
}

const Router::Target* Router::find(std::string_view path, std::string_view verb,
                                   std::vector<std::string_view>& captured) const {
  captured.clear();
  const Node* node = descend(root_, path, captured);
  if (!node) return nullptr;
  const Target* any = nullptr;
  for (const Target& target : node->targets) {
    if (target.method->verb == verb) return &target;
    if (target.method->verb == "ANY") any = &target;
  }
  return any;
}

bool overlap(const Resource& a, const Resource& b) noexcept {
  using Kind = Segment::Kind;
  for (std::size_t i = 0;; ++i) {
    const bool a_ends = i == a.segments.size(), b_ends = i == b.segments.size();
    if (a_ends || b_ends) return a_ends && b_ends;
    const Segment &x = a.segments[i], &y = b.segments[i];
    if (x.kind == Kind::greedy || y.kind == Kind::greedy) return true;
    if (x.kind == Kind::literal && y.kind == Kind::literal && x.text != y.text) return false;
  }
}

bool same_paths(const Resource& a, const Resource& b) noexcept {
  return std::equal(a.segments.begin(), a.segments.end(), b.segments.begin(), b.segments.end(),
                    [](const Segment& x, const Segment& y) {
                      return x.kind == y.kind && (x.kind != Segment::Kind::literal || x.text == y.text);
                    });
}

}  // namespace millrace::gateway
