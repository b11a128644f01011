#include "state/change.hpp"

#include <cstring>

namespace millrace::state {

namespace {

template <class T>
char* put(char* at, T value) {
  std::memcpy(at, &value, sizeof value);
  return at + sizeof value;
}
template <class T>
const char* get(const char* at, T& value) {
  std::memcpy(&value, at, sizeof value);
  return at + sizeof value;
}

void encode_head(const Item& item, char* at) {
  at = put(at, static_cast<std::uint8_t>(item.kind));
  at = put(at, std::uint8_t{0});
  at = put(at, static_cast<std::uint16_t>(item.key.size()));
  at = put(at, static_cast<std::uint32_t>(item.value.size()));
  put(at, item.number);
}

}  // namespace

void append_item(std::string& payload, const Item& item) {
  char head[kItemHeadBytes];
  encode_head(item, head);
  payload.append(head, sizeof head).append(item.key).append(item.value);
}

void encode_part(Part part, std::uint64_t revision, char* out) {
  char value[kPartBytes - kItemHeadBytes];
  put(put(value, part.index), part.count);
  encode_head({ItemKind::part, revision, {}, {value, sizeof value}}, out);
  std::memcpy(out + kItemHeadBytes, value, sizeof value);
}

Read read_item(ByteView& payload, Item& item) noexcept {
  if (payload.empty()) return Read::end;
  if (payload.size() < kItemHeadBytes) return Read::broken;
  std::uint8_t kind = 0, zero = 0;
  std::uint16_t key = 0;
  std::uint32_t value = 0;
  const char* at = get(get(payload.data(), kind), zero);
  get(get(get(at, key), value), item.number);
  if (kind < static_cast<std::uint8_t>(ItemKind::put) || kind > static_cast<std::uint8_t>(ItemKind::part) || zero != 0)
    return Read::unknown;
  if (payload.size() - kItemHeadBytes < std::size_t{key} + value || item.number >= kNumberMax) return Read::broken;
  item.kind = static_cast<ItemKind>(kind);
  item.key = payload.substr(kItemHeadBytes, key);
  item.value = payload.substr(kItemHeadBytes + key, value);
  payload.remove_prefix(kItemHeadBytes + key + value);
  return Read::item;
}

bool read_part(const Item& item, Part& part) noexcept {
  if (item.kind != ItemKind::part || item.value.size() != kPartBytes - kItemHeadBytes) return false;
  get(get(item.value.data(), part.index), part.count);
  return true;
}

}  // namespace millrace::state
