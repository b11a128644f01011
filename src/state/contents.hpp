#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/bytes.hpp"
#include "millrace/state/store.hpp"
#include "state/change.hpp"

namespace millrace::state {

/// What the changes written so far come to.
class Contents {
 public:
  struct Held {
    std::string value;
    Revision revision;
  };
  using Entries = std::map<std::string, Held, std::less<>>;
  using Numbers = std::map<std::string, std::uint64_t, std::less<>>;

  const Entries& entries() const noexcept { return entries_; }
  /// The greatest that may have been given under a name; 0 when none was.
  std::uint64_t number(std::string_view name) const;
  Revision revision_of(std::string_view key) const;
  std::uint64_t last_revision() const noexcept { return last_revision_; }
  /// Of its snapshot, about.
  std::uint64_t bytes() const noexcept { return bytes_; }

  void apply(const Item& item);
  /// The greatest that may have been given under any name.
  std::uint64_t highest_number() const noexcept;
  /// All numbers, also of names that are not known, go on behind `number`, and behind the greatest.
  void go_on_behind(std::uint64_t number);
  /// A snapshot begins: of what was before only what is told again is left.
  void begin_again();
  /// The payloads of a snapshot's frames, each at most `payload_bytes_max`, which holds the largest item.
  std::vector<std::string> snapshot(std::size_t payload_bytes_max) const;

 private:
  void erase(Entries::iterator at);

  Entries entries_;
  Numbers numbers_;
  std::uint64_t last_revision_ = 0, bytes_ = 0;
};

/// Puts frames' payloads together again, in the order in which they were written.
class Replay {
 public:
  /// Nothing when the payload was taken, else what is wrong with it: damaged, unknown_format.
  std::optional<Error> change(ByteView payload);
  std::optional<Error> snapshot(ByteView payload);
  /// Whether a snapshot has begun and not ended.
  bool inside_snapshot() const noexcept { return parts_left_ > 0; }
  Contents& contents() noexcept { return contents_; }

 private:
  std::optional<Error> apply_all(ByteView payload);

  Contents contents_;
  std::uint32_t parts_left_ = 0;
};

}  // namespace millrace::state
