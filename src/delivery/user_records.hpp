#pragma once
#include <optional>
#include <string_view>
#include <utility>

#include "millrace/codec/kpl.hpp"

namespace millrace::delivery {

/// What one record of the source delivers: itself, or the user records that a producer's library put into it. Views
/// into the record's data.
class UserRecords {
 public:
  explicit UserRecords(std::string_view data) noexcept : data_(data), aggregate_(codec::kpl::Aggregate::open(data)) {}

  bool next(std::string_view& data) noexcept {
    if (aggregate_) {
      codec::kpl::UserRecord record;
      const bool more = aggregate_->next(record);
      data = record.data;
      return more;
    }
    data = data_;
    return !std::exchange(given_, true);
  }

 private:
  std::string_view data_;
  std::optional<codec::kpl::Aggregate> aggregate_;
  bool given_ = false;
};

}  // namespace millrace::delivery
