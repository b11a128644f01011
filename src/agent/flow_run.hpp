#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/conversions.hpp"
#include "agent/followed_files.hpp"
#include "millrace/agent/agent.hpp"

namespace millrace::agent {

/// What CloudWatch is told of a destination.
struct Counts {
  std::uint64_t bytes_sent = 0, attempts = 0, record_errors = 0, service_errors = 0;
};

/// One flow at work: its files, what was read of them and is not acknowledged yet, and sending it. What waits is
/// bounded: two calls' worth, and a record or what one reading of a file holds. Of one thread.
class FlowRun {
 public:
  FlowRun(const Flow& flow, const std::vector<Mark>* marks, const Dependencies& dependencies);

  /// Reads and sends what is due.
  /// @return when there is something to do next
  TimePoint step(TimePoint now);
  /// Sends, without reading more. False: something is left.
  bool drain(TimePoint now);
  std::vector<Mark> marks() const;
  const Flow& flow() const noexcept { return flow_; }
  std::uint64_t waiting_bytes() const noexcept { return bytes_; }
  /// Since it was asked.
  Counts take_counts() noexcept { return std::exchange(counts_, {}); }

 private:
  struct Waiting {
    FileRecord record;
    TimePoint read_at;
  };
  void take(FileRecord record, TimePoint now);
  bool full() const noexcept { return waiting_.size() >= flow_.records_max || bytes_ >= flow_.bytes_max; }
  bool send(TimePoint now);
  std::string body(std::size_t records) const;
  void put_key(const std::string& data, std::string& out) const;
  void later(TimePoint now, std::string_view why);

  const Flow flow_;
  const Dependencies& dependencies_;
  const Conversions conversions_;
  const std::size_t record_bytes_max_;
  FollowedFiles files_;
  std::deque<Waiting> waiting_;
  std::uint64_t bytes_ = 0;
  TimePoint poll_at_{}, try_at_{}, warned_at_{};
  std::chrono::milliseconds backoff_{0};
  std::uint64_t unmatched_ = 0;
  Counts counts_;
};

}  // namespace millrace::agent
