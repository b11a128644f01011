#include "state/contents.hpp"

#include <algorithm>

namespace millrace::state {

namespace {

constexpr std::string_view kAllNames;  // its number holds for every name

}  // namespace

std::uint64_t Contents::number(std::string_view name) const {
  std::uint64_t number = 0;
  for (const std::string_view each : {name, kAllNames})
    if (const auto found = numbers_.find(each); found != numbers_.end()) number = std::max(number, found->second);
  return number;
}

std::uint64_t Contents::highest_number() const noexcept {
  std::uint64_t highest = 0;
  for (const auto& [name, number] : numbers_) highest = std::max(highest, number);
  return highest;
}

void Contents::go_on_behind(std::uint64_t number) {
  apply({ItemKind::number, std::min(std::max(number, highest_number()), kNumberMax - 1), kAllNames, {}});
}

Revision Contents::revision_of(std::string_view key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? Revision{0} : found->second.revision;
}

void Contents::erase(Entries::iterator at) {
  bytes_ -= item_bytes(at->first, at->second.value);
  entries_.erase(at);
}

void Contents::apply(const Item& item) {
  const auto found = entries_.find(item.key);
  switch (item.kind) {
    case ItemKind::put:
      if (found != entries_.end()) erase(found);
      entries_.emplace(item.key, Held{std::string(item.value), Revision{item.number}});
      bytes_ += item_bytes(item.key, item.value);
      break;
    case ItemKind::remove:
      if (found != entries_.end()) erase(found);
      break;
    case ItemKind::clear:
      while (!entries_.empty()) erase(entries_.begin());
      break;
    case ItemKind::number: {
      const auto [number, fresh] = numbers_.try_emplace(std::string(item.key), item.number);
      number->second = std::max(number->second, item.number);
      if (fresh) bytes_ += item_bytes(item.key, {});
      return;  // has no revision
    }
    case ItemKind::part:
      break;
  }
  last_revision_ = std::max(last_revision_, item.number);
}

void Contents::begin_again() { *this = {}; }

std::vector<std::string> Contents::snapshot(std::size_t payload_bytes_max) const {
  std::vector<std::string> payloads(1, std::string(kPartBytes, '\0'));
  const auto add = [&](const Item& item) {
    if (payloads.back().size() + item_bytes(item.key, item.value) > payload_bytes_max)
      payloads.emplace_back(kPartBytes, '\0');
    append_item(payloads.back(), item);
  };
  for (const auto& [name, number] : numbers_) add({ItemKind::number, number, name, {}});
  for (const auto& [key, held] : entries_) add({ItemKind::put, held.revision.get(), key, held.value});
  const auto count = static_cast<std::uint32_t>(payloads.size());
  for (std::uint32_t i = 0; i < count; ++i) encode_part({i, count}, last_revision_, payloads[i].data());
  return payloads;
}

namespace {

Error damaged(std::string what) { return {Errc::damaged, std::move(what)}; }
Error unknown() { return {Errc::unknown_format, "a later version of this program wrote it"}; }

}  // namespace

std::optional<Error> Replay::apply_all(ByteView payload) {
  for (Item item;;) {
    switch (read_item(payload, item)) {
      case Read::item:
        if (item.kind == ItemKind::part) return damaged("a part of a snapshot stands where none can");
        contents_.apply(item);
        break;
      case Read::end:
        return std::nullopt;
      case Read::unknown:
        return unknown();
      case Read::broken:
        return damaged("it does not hold what its heads say");
    }
  }
}

std::optional<Error> Replay::change(ByteView payload) {
  if (inside_snapshot()) {
    parts_left_ = 0;
    return damaged("the snapshot before it has no end");
  }
  return apply_all(payload);
}

std::optional<Error> Replay::snapshot(ByteView payload) {
  Item item;
  Part part;
  const Read first = read_item(payload, item);
  if (first == Read::unknown) return unknown();
  if (first != Read::item || !read_part(item, part) || part.index >= part.count)
    return damaged("it does not say which part of a snapshot it is");
  const bool follows = parts_left_ > 0 && part.index == part.count - parts_left_;
  if (part.index == 0) contents_.begin_again();
  parts_left_ = part.count - part.index - 1;
  contents_.apply(item);  // for its revision
  if (auto wrong = apply_all(payload)) return wrong;
  if (part.index > 0 && !follows) return damaged("parts of the snapshot before it are missing");
  return std::nullopt;
}

}  // namespace millrace::state
