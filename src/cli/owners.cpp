#include "cli/owners.hpp"

#include <algorithm>

#include "cli/log_commands.hpp"
#include "millrace/base/printable.hpp"
#include "millrace/state/keys.hpp"
#include "millrace/state/store.hpp"

namespace millrace::cli {

namespace {

constexpr int kLooksMax = 8;

/// What a running daemon drops while it is read looks like damage: then it is read again.
state::Result<state::StoredState> read_settled(const LogDirectory& whole) {
  Files& files = whole.files;
  const std::filesystem::path directory = whole.state();
  for (int look = 1;; ++look) {
    const auto before = files.list(directory);
    auto stored = state::read_journal(files, directory, &whole.keys);
    if (!whole.running || look == kLooksMax || !stored || stored->damage.empty()) return stored;
    const auto after = files.list(directory);
    if (before && after && *before == *after) return stored;
  }
}

}  // namespace

Owners Owners::of(const LogDirectory& directory) {
  Owners out;
  if (!directory.has_state) return out;
  auto stored = read_settled(directory);
  if (!stored) {
    out.trouble_ = std::move(stored.error().detail);
    return out;
  }
  out.damage_ = std::move(stored->damage);
  for (const state::Entry& entry : stored->entries) out.take(entry.key, entry.value);
  for (const streams::Stream& stream : out.streams_)
    for (const auto& shard : stream.shards)
      out.by_log_[streams::log_id(stream.incarnation, shard->index).get()] = {&stream, shard.get()};
  return out;
}

void Owners::take(std::string_view key, std::string_view value) {
  if (!key.starts_with(state::keys::kStreams)) return;
  if (auto stream = streams::parse_stream(value))
    streams_.push_back(std::move(*stream));
  else
    damage_.push_back("the stored stream " + in_quotes(key.substr(state::keys::kStreams.size())) +
                      " cannot be understood");
}

const streams::Stream* Owners::find(std::string_view name) const noexcept {
  const auto at = std::find_if(streams_.begin(), streams_.end(), [&](const auto& one) { return one.name == name; });
  return at == streams_.end() ? nullptr : &*at;
}

const Owners::Owner* Owners::owner(std::uint64_t log) const noexcept {
  const auto found = by_log_.find(log);
  return found == by_log_.end() ? nullptr : &found->second;
}

std::string Owners::name(std::uint64_t log) const {
  const Owner* const whose = owner(log);
  if (!whose) return "log " + std::to_string(log) + ", which is no stream's";
  return printable(whose->stream->name, 128) + " " + whose->shard->id;
}

std::string Owners::name(const journal::Part& part) const {
  const std::string first = std::to_string(part.base), last = std::to_string(part.base + part.count - 1);
  return (part.count == 1 ? "record " + first : "records " + first + " to " + last) + " of " + name(part.log);
}

}  // namespace millrace::cli
