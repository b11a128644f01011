#pragma once
#include <compare>
#include <functional>
#include <utility>

namespace millrace {

/// A value with a meaning of its own: explicit in, `.get()` out, so that two arguments of one representation cannot be
/// swapped. Compares and hashes as its representation.
template <class Tag, class T>
class Strong {
 public:
  using Representation = T;
  constexpr Strong() = default;
  constexpr explicit Strong(T value) : value_(std::move(value)) {}
  constexpr const T& get() const& noexcept { return value_; }
  constexpr T get() && noexcept { return std::move(value_); }
  friend constexpr auto operator<=>(const Strong&, const Strong&) = default;
  friend constexpr bool operator==(const Strong&, const Strong&) = default;

 private:
  T value_{};
};

}  // namespace millrace

template <class Tag, class T>
struct std::hash<millrace::Strong<Tag, T>> {
  std::size_t operator()(const millrace::Strong<Tag, T>& v) const noexcept { return std::hash<T>{}(v.get()); }
};
