#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <utility>

namespace millrace {

/// What memory is held for. Each has its own count inside the one budget.
enum class Account : std::size_t { chunks, bodies, replies, delivery, connections };
inline constexpr std::size_t kAccounts = 5;

/// The one bound on memory that grows with load (storage.memory_limit). Thread-safe, lock-free.
class MemoryBudget {
 public:
  /// @param kept_from_chunks  bytes that stored records never take, so that a full daemon still reads, answers and
  /// deletes
  explicit MemoryBudget(std::size_t bytes_max, std::size_t kept_from_chunks = 0) noexcept
      : bytes_max_(bytes_max), chunks_max_(bytes_max - std::min(bytes_max, kept_from_chunks)) {}
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  /// False, and nothing taken, when the limit would be passed.
  [[nodiscard]] bool try_take(Account account, std::size_t bytes) noexcept {
    if (used_.fetch_add(bytes, std::memory_order_relaxed) + bytes > bytes_max(account)) {
      used_.fetch_sub(bytes, std::memory_order_relaxed);
      refused_[static_cast<std::size_t>(account)].fetch_add(1, std::memory_order_relaxed);
      return false;
    }
    by_account_[static_cast<std::size_t>(account)].fetch_add(bytes, std::memory_order_relaxed);
    return true;
  }
  void give_back(Account account, std::size_t bytes) noexcept {
    by_account_[static_cast<std::size_t>(account)].fetch_sub(bytes, std::memory_order_relaxed);
    used_.fetch_sub(bytes, std::memory_order_relaxed);
  }
  std::size_t bytes_max() const noexcept { return bytes_max_; }
  /// What all accounts together may hold when this one asks for more.
  std::size_t bytes_max(Account a) const noexcept { return a == Account::chunks ? chunks_max_ : bytes_max_; }
  /// What stored records leave to all else.
  std::size_t kept_from_chunks() const noexcept { return bytes_max_ - chunks_max_; }
  std::size_t used() const noexcept { return used_.load(std::memory_order_relaxed); }
  std::size_t used(Account a) const noexcept {
    return by_account_[static_cast<std::size_t>(a)].load(std::memory_order_relaxed);
  }
  /// How often try_take refused.
  std::size_t refused() const noexcept {
    std::size_t sum = 0;
    for (const auto& count : refused_) sum += count.load(std::memory_order_relaxed);
    return sum;
  }
  std::size_t refused(Account a) const noexcept {
    return refused_[static_cast<std::size_t>(a)].load(std::memory_order_relaxed);
  }

 private:
  const std::size_t bytes_max_, chunks_max_;
  std::atomic<std::size_t> used_{0};
  std::array<std::atomic<std::size_t>, kAccounts> by_account_{}, refused_{};
};

/// Budget held for as long as this lives. Move-only.
class Reservation {
 public:
  Reservation() = default;
  /// Empty (and bytes() == 0) when the budget refuses.
  static Reservation take(MemoryBudget& budget, Account account, std::size_t bytes) noexcept {
    Reservation r;
    if (budget.try_take(account, bytes)) {
      r.budget_ = &budget;
      r.account_ = account;
      r.bytes_ = bytes;
    }
    return r;
  }
  Reservation(Reservation&& o) noexcept
      : budget_(std::exchange(o.budget_, nullptr)), account_(o.account_), bytes_(std::exchange(o.bytes_, 0)) {}
  Reservation& operator=(Reservation&& o) noexcept {
    if (this != &o) {
      release();
      budget_ = std::exchange(o.budget_, nullptr);
      account_ = o.account_;
      bytes_ = std::exchange(o.bytes_, 0);
    }
    return *this;
  }
  ~Reservation() { release(); }
  explicit operator bool() const noexcept { return budget_ != nullptr; }
  std::size_t bytes() const noexcept { return bytes_; }
  void release() noexcept {
    if (budget_) budget_->give_back(account_, bytes_);
    budget_ = nullptr;
    bytes_ = 0;
  }

 private:
  MemoryBudget* budget_ = nullptr;
  Account account_{};
  std::size_t bytes_ = 0;
};

}  // namespace millrace
