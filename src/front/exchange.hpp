#pragma once
#include <array>
#include <memory>
#include <string_view>

#include "millrace/base/buffer.hpp"
#include "millrace/base/random.hpp"
#include "millrace/codec/base64.hpp"
#include "millrace/services/operation.hpp"

namespace millrace::front {

/// What one call needs in memory, reused by the next one on the same core.
struct Exchange {
  static constexpr std::size_t kId2Bytes = 72;
  static constexpr std::size_t kId2Chars = codec::base64::encoded_size(kId2Bytes);

  services::Reply reply;
  Buffer pieces;  ///< where a large reply's pieces are rendered
  std::array<char, kUuidChars> request_id_chars;
  std::array<char, kId2Chars + codec::base64::kSlack> id2_chars;

  std::string_view request_id() const noexcept { return {request_id_chars.data(), kUuidChars}; }
  std::string_view id2() const noexcept { return {id2_chars.data(), kId2Chars}; }
  void new_ids(Random& random) noexcept;
};

/// An Exchange lent from the thread's pool. Handlers suspend, so several are out at a time.
class Lease {
 public:
  Lease();
  ~Lease();
  Lease(const Lease&) = delete;
  Exchange* operator->() const noexcept { return exchange_.get(); }
  Exchange& operator*() const noexcept { return *exchange_; }

 private:
  std::unique_ptr<Exchange> exchange_;
};

}  // namespace millrace::front
