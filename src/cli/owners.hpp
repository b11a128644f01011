#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "millrace/journal/journal.hpp"
#include "millrace/streams/stream_record.hpp"

namespace millrace::cli {

struct LogDirectory;

/// Whose the logs are: the streams of a state journal and their shards.
class Owners {
 public:
  struct Owner {
    const streams::Stream* stream;
    const streams::Shard* shard;
  };

  Owners(Owners&&) = default;  // not copied: what is found points into it

  /// Blocking. What a running daemon changes meanwhile is there before or after the change.
  static Owners of(const LogDirectory& directory);

  const std::vector<streams::Stream>& streams() const noexcept { return streams_; }  ///< by name
  const streams::Stream* find(std::string_view name) const noexcept;
  /// Null: of no stream.
  const Owner* owner(std::uint64_t log) const noexcept;
  /// `events shardId-000000000000`, or `log 7, which is no stream's`
  std::string name(std::uint64_t log) const;
  /// `records 3 to 7 of events shardId-000000000000`
  std::string name(const journal::Part& part) const;

  const std::vector<std::string>& damage() const noexcept { return damage_; }
  /// Why nothing could be read.
  const std::optional<std::string>& trouble() const noexcept { return trouble_; }

 private:
  Owners() = default;
  void take(std::string_view key, std::string_view value);

  std::vector<streams::Stream> streams_;
  std::unordered_map<std::uint64_t, Owner> by_log_;
  std::vector<std::string> damage_;
  std::optional<std::string> trouble_;
};

}  // namespace millrace::cli
