#include "millrace/codec/kpl.hpp"

#include <algorithm>

#include "millrace/base/digest.hpp"

namespace millrace::codec::kpl {
namespace {

constexpr std::string_view kMagic = "\xF3\x89\x9A\xC2";
constexpr std::size_t kMd5Bytes = 16;

enum WireType : std::uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
// AggregatedRecord's fields, and Record's, Tag's.
enum : std::uint32_t { kPartitionKeys = 1, kExplicitHashKeys = 2, kRecords = 3 };
enum : std::uint32_t { kPartitionKeyIndex = 1, kExplicitHashKeyIndex = 2, kData = 3, kTags = 4 };
enum : std::uint32_t { kTagKey = 1, kTagValue = 2 };

struct Field {
  std::uint32_t number = 0;
  WireType type = kVarint;
  std::uint64_t value = 0;  // of a varint
  std::string_view bytes;
};

bool read_varint(std::string_view& from, std::uint64_t& value) noexcept {
  value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (from.empty()) return false;
    const auto byte = static_cast<unsigned char>(from.front());
    from.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7Fu} << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

/// False when `from` does not begin with a whole field. Groups, which nobody has written for many years, are none.
bool read_field(std::string_view& from, Field& field) noexcept {
  std::uint64_t tag = 0;
  if (!read_varint(from, tag) || tag > UINT32_MAX) return false;
  field.number = static_cast<std::uint32_t>(tag >> 3);
  field.type = static_cast<WireType>(tag & 7);
  if (field.number == 0) return false;
  std::uint64_t size = 0;
  switch (field.type) {
    case kVarint:
      return read_varint(from, field.value);
    case kFixed64:
      size = 8;
      break;
    case kFixed32:
      size = 4;
      break;
    case kBytes:
      if (!read_varint(from, size)) return false;
      break;
    default:
      return false;
  }
  if (size > from.size()) return false;
  field.bytes = from.substr(0, size);
  from.remove_prefix(size);
  return true;
}

bool is(const Field& field, std::uint32_t number, WireType type) noexcept {
  return field.number == number && field.type == type;
}

bool is_tag(std::string_view from) noexcept {
  bool key = false;
  for (Field field; !from.empty();) {
    if (!read_field(from, field)) return false;
    key = key || is(field, kTagKey, kBytes);
  }
  return key;
}

/// False when a required field is missing. What is there several times counts as the last of them.
bool read_record(std::string_view from, UserRecord& record) noexcept {
  record = {};
  bool key = false, data = false;
  for (Field field; !from.empty();) {
    if (!read_field(from, field)) return false;
    if (is(field, kPartitionKeyIndex, kVarint)) {
      record.partition_key = field.value;
      key = true;
    } else if (is(field, kExplicitHashKeyIndex, kVarint)) {
      record.explicit_hash_key = field.value;
    } else if (is(field, kData, kBytes)) {
      record.data = field.bytes;
      data = true;
    } else if (is(field, kTags, kBytes) && !is_tag(field.bytes)) {
      return false;
    }
  }
  return key && data;
}

bool has_magic_and_md5(std::string_view data) noexcept {
  if (!data.starts_with(kMagic) || data.size() < kMagic.size() + kMd5Bytes) return false;
  const Uint128 found = md5(data.substr(kMagic.size(), data.size() - kMagic.size() - kMd5Bytes));
  Uint128 said;
  for (std::size_t i = 0; i < kMd5Bytes; ++i) {
    std::uint64_t& half = i < 8 ? said.high : said.low;
    half = half << 8 | static_cast<unsigned char>(data[data.size() - kMd5Bytes + i]);
  }
  return found == said;
}

}  // namespace

std::optional<Aggregate> Aggregate::open(std::string_view data) noexcept {
  if (!has_magic_and_md5(data)) return std::nullopt;
  Aggregate made(data.substr(kMagic.size(), data.size() - kMagic.size() - kMd5Bytes));
  // A table may stand behind those who name its places.
  std::uint64_t partition_keys = 0, explicit_hash_keys = 0, partition_keys_named = 0, explicit_hash_keys_named = 0;
  std::string_view left = made.message_;
  for (Field field; !left.empty();) {
    if (!read_field(left, field)) return std::nullopt;
    if (is(field, kPartitionKeys, kBytes)) {
      ++partition_keys;
    } else if (is(field, kExplicitHashKeys, kBytes)) {
      ++explicit_hash_keys;
    } else if (is(field, kRecords, kBytes)) {
      UserRecord record;
      if (!read_record(field.bytes, record)) return std::nullopt;
      if (record.partition_key == UINT64_MAX || record.explicit_hash_key == UINT64_MAX) return std::nullopt;
      partition_keys_named = std::max(partition_keys_named, record.partition_key + 1);
      if (record.explicit_hash_key)
        explicit_hash_keys_named = std::max(explicit_hash_keys_named, *record.explicit_hash_key + 1);
      ++made.records_;
    }
  }
  if (partition_keys_named > partition_keys || explicit_hash_keys_named > explicit_hash_keys) return std::nullopt;
  return made;
}

bool Aggregate::next(UserRecord& record) noexcept {
  for (Field field; !left_.empty();) {
    (void)read_field(left_, field);  // all of it was read before
    if (is(field, kRecords, kBytes)) return read_record(field.bytes, record);
  }
  return false;
}

std::vector<std::string_view> Aggregate::table(std::uint32_t number) const {
  std::vector<std::string_view> keys;
  std::string_view left = message_;
  for (Field field; !left.empty();) {
    (void)read_field(left, field);
    if (is(field, number, kBytes)) keys.push_back(field.bytes);
  }
  return keys;
}

std::vector<std::string_view> Aggregate::partition_keys() const { return table(kPartitionKeys); }
std::vector<std::string_view> Aggregate::explicit_hash_keys() const { return table(kExplicitHashKeys); }

}  // namespace millrace::codec::kpl
