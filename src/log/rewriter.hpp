#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "log/local_log.hpp"
#include "log/storage.hpp"
#include "millrace/base/clock.hpp"

namespace millrace::log {

/// A part that is to leave its file.
struct Move {
  std::shared_ptr<LocalLog> log;
  journal::Part part;
};

/// Writes records of files to the end of the journal, so that the files can go. Of those of which most is not wanted
/// any more: what streams of long retention have beside those of short ones, or beside deleted ones. Or of those in
/// which reads find what they want scattered: there they lie together then. A piece at a time and then a pause, on the
/// file threads; a failure leaves all as it is. Thread-safe.
class Rewriter final : public journal::Source, public std::enable_shared_from_this<Rewriter> {
 public:
  Rewriter(Clock& clock, std::shared_ptr<Storage> storage) noexcept : clock_(clock), storage_(std::move(storage)) {}

  bool at_work();
  /// Begins with these, unless it is at work: false. In their order: what is to lie together comes together.
  /// @param whole_files  that are to be in the system's memory before: of their records, about all are moved
  bool begin(std::deque<Move> moves, std::deque<journal::Generation> whole_files = {});
  /// No piece is begun any more.
  void stop();

  bool gather(journal::Batch& batch) override;
  void settled(const journal::Result<>& outcome, std::span<const journal::Lsn> places) noexcept override;

 private:
  /// Frames that are to be written, and their payloads one behind the other: of the first moves, in their order.
  struct Piece {
    std::vector<journal::Frame> frames;
    std::shared_ptr<char> bytes;
  };
  /// A move whose records are in their new place and wait there for the disk.
  struct Written {
    Move move;
    std::vector<journal::Part> to;
    journal::Lsn end;
  };
  void pause();
  void go_on();
  void work();
  void finish();
  bool read_ahead();
  bool load();
  std::vector<std::vector<journal::Place>> places_of_piece();
  void give_up();
  void add_to(const journal::Frame& frame, journal::Lsn place);

  Clock& clock_;
  const std::shared_ptr<Storage> storage_;
  std::mutex mutex_;
  bool stopped_ = false;
  std::deque<journal::Generation> whole_files_;  // that are not in the system's memory yet
  std::uint64_t ahead_ = 0;                      // of the first of them: what is
  std::deque<Move> moves_;                       // empty: it is idle
  std::uint64_t next_ = 0;                       // of the first move: where the next piece begins
  std::vector<journal::Part> written_;           // of the first move; counted as used
  Piece piece_;
  std::shared_ptr<char>
      in_flight_;  // the committer's: what a commit under way writes stays, whoever gives up meanwhile
  std::deque<Written> unsynced_;
};

}  // namespace millrace::log
