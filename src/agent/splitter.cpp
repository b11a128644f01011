#include "agent/splitter.hpp"

#include <algorithm>
#include <utility>

namespace millrace::agent {

void cut(std::string& record, std::size_t bytes_max, std::string_view terminator) {
  if (record.size() <= bytes_max) return;
  record.resize(bytes_max - std::min(bytes_max, terminator.size()));
  record += terminator;
}

Splitter::Splitter(const Pattern* start, std::uint64_t from, std::uint64_t skip_lines, std::size_t bytes_max,
                   std::string terminator)
    : start_(start),
      bytes_max_(bytes_max),
      terminator_(std::move(terminator)),
      skip_(from == 0 ? skip_lines : 0),
      at_(from),
      record_{from, {}},
      line_{from, {}} {}

// One byte more than a record has: by that it is known to be too long.
void Splitter::append(Part& to, std::string_view text, bool was_cut) const {
  const std::size_t room = bytes_max_ + 1 - std::min(bytes_max_ + 1, to.text.size());
  to.text += text.substr(0, room);
  to.cut = to.cut || was_cut || text.size() > room;
}

void Splitter::feed(std::string_view bytes, const Emit& emit) {
  while (!bytes.empty()) {
    const std::size_t newline = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, newline == bytes.npos ? bytes.size() : newline + 1);
    if (skip_ == 0) append(line_, piece, false);
    at_ += piece.size();
    bytes.remove_prefix(piece.size());
    if (newline == piece.npos) return;
    if (skip_ > 0) {
      --skip_;
      record_.begin = line_.begin = at_;
      continue;
    }
    line_is_whole(emit);
  }
}

void Splitter::line_is_whole(const Emit& emit) {
  if (start_ && !record_.text.empty() && start_->begins(line_.text)) give(emit, line_.begin);
  append(record_, line_.text, line_.cut);
  line_ = {at_, {}};
  if (!start_) give(emit, at_);
}

void Splitter::end(const Emit& emit) {
  if (!line_.text.empty()) {
    if (start_ && !record_.text.empty() && start_->begins(line_.text)) give(emit, line_.begin);
    append(record_, line_.text, line_.cut);
  }
  line_ = {at_, {}};
  if (!record_.text.empty()) give(emit, at_);
}

void Splitter::give(const Emit& emit, std::uint64_t end) {
  std::string record = std::move(record_.text);
  cut(record, bytes_max_, terminator_);
  const Range range{record_.begin, end};
  record_ = {end, {}};
  emit(std::move(record), range);
}

}  // namespace millrace::agent
