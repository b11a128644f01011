#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "log/storage.hpp"
#include "millrace/journal/journal.hpp"

namespace millrace::log {

struct ColdRequest {
  std::vector<journal::Part> parts;  ///< of one log, by position; the first holds `from` or begins behind it
  std::uint64_t from = 0;
  std::int64_t hidden_before_ms = 0;  ///< what arrived earlier is not shown
  std::size_t records_max = 0, bytes_max = 0;
};

struct ColdRecords {
  std::vector<RecordRun> runs;
  std::uint32_t records = 0;
  std::uint64_t next = 0;                ///< behind what was looked at
  std::optional<std::uint64_t> horizon;  ///< the first that is shown, when that was come across
  std::optional<Error> error;            ///< and what there was before it is above
};

/// Journal::places() of this part alone: its file may have others of the same log, before and behind it.
journal::Result<std::vector<journal::Place>> places_in(journal::Journal& journal, const journal::Part& part,
                                                       std::uint64_t from, std::uint64_t bytes_max);

/// Records out of files. Blocking. Gives at least one record when there is one and memory for it.
ColdRecords read_cold(Storage& storage, const ColdRequest& request);

/// The first record of the part that arrived at or after `at_ms`; its end when there is none. Blocking.
Result<std::uint64_t> seek_cold(Storage& storage, const journal::Part& part, std::int64_t at_ms);

}  // namespace millrace::log
