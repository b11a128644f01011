#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

/// The aggregation format of the Kinesis Producer Library: several user records in the data of one record. Four bytes
/// of magic, an AggregatedRecord of protobuf, and the MD5 of that.
namespace millrace::codec::kpl {

/// Views into the data that it was read from.
struct UserRecord {
  std::uint64_t partition_key = 0;                 ///< of Aggregate::partition_keys()
  std::optional<std::uint64_t> explicit_hash_key;  ///< of Aggregate::explicit_hash_keys()
  std::string_view data;
};

/// One record that holds several, checked as a whole: each of its keys is there. Keeps a view of the record's data.
class Aggregate {
 public:
  /// Nothing for a record that is just itself: without the magic, with another MD5, or whose message is not
  /// well-formed, as the KCL has it.
  static std::optional<Aggregate> open(std::string_view data) noexcept;

  std::uint64_t size() const noexcept { return records_; }
  /// The next user record; false when there is none.
  bool next(UserRecord& record) noexcept;

  /// The tables that user records name places of; made anew with each call.
  std::vector<std::string_view> partition_keys() const;
  std::vector<std::string_view> explicit_hash_keys() const;

 private:
  explicit Aggregate(std::string_view message) noexcept : message_(message), left_(message) {}
  std::vector<std::string_view> table(std::uint32_t field) const;

  std::string_view message_, left_;
  std::uint64_t records_ = 0;
};

}  // namespace millrace::codec::kpl
