#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "millrace/base/memory_budget.hpp"

namespace millrace::gateway::vtl {

/// The arena's bound is reached; caught where an evaluation begins.
struct ArenaFull {};
/// The memory budget refuses; likewise.
struct BudgetFull {};

/// Memory of one evaluation: taken in pieces, given back all at once. What lives in it is never destroyed, so it may
/// point at itself. The first block is kept from one evaluation to the next; those beyond it are reserved as bodies.
class Arena {
 public:
  static constexpr std::size_t kFirstBlock = 16u << 10;
  explicit Arena(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  /// Of the evaluation that begins; null: none.
  void use(MemoryBudget* budget) noexcept { budget_ = budget; }

  void* take(std::size_t bytes) {
    bytes = (bytes + kAlign - 1) & ~(kAlign - 1);
    if (static_cast<std::size_t>(end_ - at_) < bytes) grow(bytes);
    char* taken = at_;
    at_ += bytes;
    return taken;
  }
  template <class T>
  T* make() {
    static_assert(alignof(T) <= kAlign);
    return new (take(sizeof(T))) T{};
  }
  std::string_view copy(std::string_view text) {
    if (text.empty()) return {};
    char* to = static_cast<char*>(take(text.size()));
    std::memcpy(to, text.data(), text.size());
    return {to, text.size()};
  }
  std::string_view join(std::string_view a, std::string_view b) {
    if (a.size() + b.size() == 0) return {};
    char* to = static_cast<char*>(take(a.size() + b.size()));
    if (!a.empty()) std::memcpy(to, a.data(), a.size());
    if (!b.empty()) std::memcpy(to + a.size(), b.data(), b.size());
    return {to, a.size() + b.size()};
  }
  void reset() noexcept {
    if (blocks_.size() > 1) blocks_.resize(1);
    reserved_.clear();
    total_ = blocks_.empty() ? 0 : kFirstBlock;
    at_ = blocks_.empty() ? nullptr : blocks_.front().get();
    end_ = blocks_.empty() ? nullptr : at_ + kFirstBlock;
  }

 private:
  static constexpr std::size_t kAlign = 8;

  void grow(std::size_t bytes) {
    std::size_t size = kFirstBlock;
    if (!blocks_.empty()) {
      size = total_ < (1u << 20) ? total_ : (1u << 20);
      if (size < bytes) size = bytes;
    } else if (bytes > kFirstBlock) {
      blocks_.push_back(std::make_unique_for_overwrite<char[]>(kFirstBlock));  // reset() counts on the first one's size
      total_ = kFirstBlock;
      size = bytes;
    }
    if (size > bytes_max_ || total_ > bytes_max_ - size) throw ArenaFull{};
    if (budget_ && !blocks_.empty()) {
      reserved_.push_back(Reservation::take(*budget_, Account::bodies, size));
      if (!reserved_.back()) throw BudgetFull{};
    }
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(size));
    total_ += size;
    at_ = blocks_.back().get();
    end_ = at_ + size;
  }

  std::size_t bytes_max_;
  std::size_t total_ = 0;
  char* at_ = nullptr;
  char* end_ = nullptr;
  std::vector<std::unique_ptr<char[]>> blocks_;
  MemoryBudget* budget_ = nullptr;
  std::vector<Reservation> reserved_;
};

/// A growing array in an arena; trivially copyable contents only.
template <class T>
class ArenaVector {
 public:
  T* begin() const noexcept { return items_; }
  T* end() const noexcept { return items_ + size_; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  T& operator[](std::size_t i) const noexcept { return items_[i]; }
  void reserve(Arena& arena, std::size_t count) {
    if (count <= capacity_) return;
    T* moved = static_cast<T*>(arena.take(count * sizeof(T)));
    if (size_) std::memcpy(static_cast<void*>(moved), static_cast<const void*>(items_), size_ * sizeof(T));
    items_ = moved;
    capacity_ = static_cast<std::uint32_t>(count);
  }
  void push(Arena& arena, const T& item) {
    if (size_ == capacity_) reserve(arena, capacity_ ? std::size_t{capacity_} * 2 : 4);
    new (items_ + size_++) T(item);
  }
  void erase(std::size_t at) noexcept {
    for (std::size_t i = at + 1; i < size_; ++i) items_[i - 1] = items_[i];
    --size_;
  }

 private:
  T* items_ = nullptr;
  std::uint32_t size_ = 0, capacity_ = 0;
};

}  // namespace millrace::gateway::vtl
