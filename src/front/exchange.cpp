#include "front/exchange.hpp"

#include <cstdint>
#include <vector>

namespace millrace::front {

namespace {

constexpr std::size_t kKeptMax = 64;
constexpr std::size_t kBufferKeptBytesMax = 512 * 1024;

std::vector<std::unique_ptr<Exchange>>& pool() {
  thread_local std::vector<std::unique_ptr<Exchange>> exchanges;
  return exchanges;
}

}  // namespace

void Exchange::new_ids(Random& random) noexcept {
  write_uuid(random, request_id_chars.data());
  std::array<std::uint64_t, kId2Bytes / sizeof(std::uint64_t)> bytes;
  for (std::uint64_t& word : bytes) word = random.next();
  codec::base64::encode({reinterpret_cast<const char*>(bytes.data()), kId2Bytes}, id2_chars.data());
}

Lease::Lease() {
  auto& exchanges = pool();
  if (exchanges.empty()) {
    exchange_ = std::make_unique<Exchange>();
  } else {
    exchange_ = std::move(exchanges.back());
    exchanges.pop_back();
  }
}

Lease::~Lease() {
  exchange_->reply.clear();
  exchange_->pieces.clear();
  if (exchange_->reply.body.capacity() > kBufferKeptBytesMax) exchange_->reply.body.release();
  if (exchange_->pieces.capacity() > kBufferKeptBytesMax) exchange_->pieces.release();
  auto& exchanges = pool();
  if (exchanges.size() < kKeptMax) exchanges.push_back(std::move(exchange_));
}

}  // namespace millrace::front
