#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "millrace/base/bytes.hpp"

/// What the payloads of the state's frames consist of. Format: docs/formats/state.md.
namespace millrace::state {

enum class ItemKind : std::uint8_t {
  put = 1,
  remove = 2,
  clear = 3,   ///< all keys; numbers stay
  number = 4,  ///< all numbers up to this one may have been given under this name
  part = 5     ///< the first item of every frame of a snapshot
};

struct Item {
  ItemKind kind = ItemKind::put;
  std::uint64_t number = 0;  ///< the revision; of `number`: the number; of `part`: the newest revision of all
  std::string_view key = {}, value = {};
  friend bool operator==(const Item&, const Item&) = default;
};

inline constexpr std::size_t kItemHeadBytes = 16;
inline constexpr std::size_t kKeyBytesMax = 0xffff;
/// Numbers end below this: others can always be counted on from those that are stored.
inline constexpr std::uint64_t kNumberMax = std::uint64_t{1} << 63;
constexpr std::size_t item_bytes(std::string_view key, std::string_view value) noexcept {
  return kItemHeadBytes + key.size() + value.size();
}

void append_item(std::string& payload, const Item& item);

/// Which frame of a snapshot this is, and of how many: the value of `part`.
struct Part {
  std::uint32_t index = 0, count = 0;
};
inline constexpr std::size_t kPartBytes = kItemHeadBytes + 8;
/// Writes kPartBytes to `out`, the beginning of a snapshot's frame.
void encode_part(Part part, std::uint64_t revision, char* out);

enum class Read {
  item,
  end,      ///< of the payload
  unknown,  ///< a kind that a later version writes
  broken    ///< it is no item
};
/// Takes the first item off `payload`; its views are into that.
Read read_item(ByteView& payload, Item& item) noexcept;
/// False when `item` is no `part`.
bool read_part(const Item& item, Part& part) noexcept;

}  // namespace millrace::state
