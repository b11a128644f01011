#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/base/clock.hpp"
#include "millrace/base/digest.hpp"
#include "millrace/base/random.hpp"
#include "millrace/log/record.hpp"
#include "millrace/state/store.hpp"

namespace millrace::streams {

/// What a shard iterator says; it says all, so that it works on any node and after a restart.
struct IteratorFields {
  std::uint64_t account = 0;      ///< the 12 digits as a number
  std::uint64_t incarnation = 0;  ///< of the stream: a re-created stream has another
  std::uint32_t shard_index = 0;
  log::Position next;
  TimePoint issued;
};

/// Shard iterators: opaque, encrypted, fixed size (base64 of 152 bytes), in AWS's outer shape. Thread-safe.
class IteratorCodec {
 public:
  static constexpr std::size_t kChars = 204;
  /// Key from a stored secret and nonces from a stored start number: both made at the first start.
  static awaitable<std::unique_ptr<IteratorCodec>> make(state::Store& store, Random& random);
  virtual ~IteratorCodec() = default;
  /// kChars characters; two calls never give the same text.
  virtual void write(const IteratorFields& fields, char* out) const = 0;
  /// Nothing for what was not issued here. Surrounding double quotes are tolerated. Expiry is the caller's.
  virtual std::optional<IteratorFields> read(std::string_view token) const = 0;
};

}  // namespace millrace::streams
