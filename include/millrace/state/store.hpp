#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/awaitable.hpp"
#include "millrace/base/result.hpp"
#include "millrace/base/strong.hpp"

/// Lasting metadata: keys with a revision, compare-and-swap, watch. Values are serialised text (JSON). A put to a
/// stream never writes state.
namespace millrace::state {

enum class Errc {
  conflict = 1,  ///< the revision expected is not the key's
  not_found,
  write_failed,
};
using Error = ErrorOf<Errc>;
template <class T = void>
using Result = ResultOf<T, Error>;

/// Grows with every change of the store; 0 means "the key must not exist".
using Revision = Strong<struct RevisionTag, std::uint64_t>;

struct Entry {
  std::string key;
  std::string value;
  Revision revision;
};

struct Change {
  std::string key;
  std::optional<std::string> value;  ///< nothing: removed
  Revision revision;
};

/// Thread-safe. When an awaitable returns success the change is as lasting as the mode promises.
class Store {
 public:
  virtual ~Store() = default;
  virtual awaitable<Result<std::optional<Entry>>> get(std::string key) = 0;
  /// All keys that start with `prefix`, in order.
  virtual awaitable<Result<std::vector<Entry>>> list(std::string prefix) = 0;
  /// @param expected nothing: whatever is there; Revision{0}: must not exist
  virtual awaitable<Result<Revision>> put(std::string key, std::string value,
                                          std::optional<Revision> expected = std::nullopt) = 0;
  virtual awaitable<Result<>> remove(std::string key, std::optional<Revision> expected = std::nullopt) = 0;
  /// A number never given before under this name, also after a restart; starts at 1.
  virtual awaitable<Result<std::uint64_t>> next_number(std::string name) = 0;

  /// Calls back for every change under `prefix` from now on, in order of revision, on the changing thread, before the
  /// change's awaitable returns. The callback must be short and must not call the store.
  using WatchId = std::uint64_t;
  virtual WatchId watch(std::string prefix, std::function<void(const Change&)> changed) = 0;
  virtual void unwatch(WatchId id) = 0;
  /// Forgets everything (reset); watchers see each removal. Numbers are not given again.
  virtual awaitable<Result<>> clear() = 0;
};

std::unique_ptr<Store> make_memory_store();

}  // namespace millrace::state
