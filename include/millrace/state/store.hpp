#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/awaitable.hpp"
#include "millrace/base/clock.hpp"
#include "millrace/base/files.hpp"
#include "millrace/base/result.hpp"
#include "millrace/base/strong.hpp"

namespace millrace {
class Random;
}
namespace millrace::journal {
class Keys;
}

/// Lasting metadata: keys with a revision, compare-and-swap, watch. Values are serialised text (JSON). A put to a
/// stream never writes state. Which keys there are: keys.hpp.
namespace millrace::state {

enum class Errc {
  conflict = 1,  ///< the revision expected is not the key's
  not_found,
  write_failed,    ///< nothing of the change is kept, nor will be
  unreadable,      ///< the system does not give what is stored
  damaged,         ///< what is stored is not what was written
  unknown_format,  ///< a later version wrote it
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

/// Thread-safe. When an awaitable returns success the change is as lasting as the mode promises, and only then do
/// others see it. Changes happen one after the other, in the order in which they were asked for.
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

  /// Calls back for every change under `prefix` from now on, in order of revision, on a thread of the store's
  /// choice, before the change's awaitable returns. The callback must be short, throw nothing and not call the store.
  using WatchId = std::uint64_t;
  virtual WatchId watch(std::string prefix, std::function<void(const Change&)> changed) = 0;
  virtual void unwatch(WatchId id) = 0;
  /// Forgets everything (reset); watchers see each removal. Numbers are not given again.
  virtual awaitable<Result<>> clear() = 0;

  /// Why the last change could not be kept; empty when it was.
  virtual std::string trouble() const { return {}; }

  /// All that is kept, as files in a directory of its own that a store can begin with. Blocking; what is not on disk
  /// when it returns is the directory's name.
  /// @param directory  made here; nothing is left of it after an error. ENOTSUP: what is kept here is not in files
  virtual FileResult<SnapshotFiles> snapshot(const std::filesystem::path& directory);
};

std::unique_ptr<Store> make_memory_store();

/// How far numbers leap where changes may be missing: so many are hardly given between two commits.
inline constexpr std::uint64_t kNumbersLeap = 1u << 20;

struct JournalStoreOptions {
  std::filesystem::path directory;      ///< of its own; made where it is missing
  std::uint64_t file_bytes = 1u << 20;  ///< and at least four times the state, as a start finds it
  /// Another life of this state has given numbers up to this one: all go on behind it. The first change makes it last.
  std::uint64_t numbers_after = 0;
  bool serve_damaged = false;  ///< goes on with what can be read; numbers leap, so that none is given twice
  /// Seal what is written and open what was; null: what is written is plain. Outlive the store.
  const journal::Keys* keys = nullptr;
  Random* random = nullptr;  ///< the same; needed with keys
};
struct JournalStore {
  std::unique_ptr<Store> store;
  std::vector<std::string> damage;  ///< what could not be read, with file and offset, and what it hides
};
/// Changes in a journal, on disk before their awaitables return. Blocking. Format: docs/formats/state.md. The files and
/// the clock outlive it.
/// @error unreadable: also when a key is missing that something in the files needs; damaged, unknown_format: the detail
/// names file and offset and what to do;  write_failed
Result<JournalStore> make_journal_store(Files& files, Clock& clock, JournalStoreOptions options);

/// What such a journal holds, for who looks on: nothing is changed. Blocking.
struct StoredState {
  std::vector<Entry> entries;        ///< by key
  std::uint64_t highest_number = 0;  ///< that may have been given under any name
  std::vector<std::string> damage;   ///< as JournalStore::damage; what it hides is missing above, or old
};
/// @param keys  null: none
/// @error unreadable, unknown_format
Result<StoredState> read_journal(Files& files, const std::filesystem::path& directory,
                                 const journal::Keys* keys = nullptr);

}  // namespace millrace::state
