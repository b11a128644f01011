#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/clock.hpp"
#include "millrace/base/files.hpp"
#include "millrace/base/random.hpp"
#include "millrace/base/result.hpp"
#include "millrace/journal/frame.hpp"
#include "millrace/log/engine.hpp"
#include "millrace/state/store.hpp"

/// Copies of all that a data directory keeps, records and state, and going back to one of them. Objects are not in
/// them: they are the user's files. What lies where: docs/snapshots.md.
namespace millrace::snapshots {

enum class Errc {
  invalid_name = 1,
  exists,
  not_found,
  busy,         ///< another call is at work, or a restore was prepared
  unsupported,  ///< what is kept is not in files
  damaged,      ///< what is in the snapshot cannot be read, or not with the keys that are there
  full,         ///< the disk
  failed,
};
using Error = ErrorOf<Errc>;
template <class T = void>
using Result = ResultOf<T, Error>;

struct Snapshot {
  std::string name;
  TimePoint created;
  std::string version;        ///< of the daemon that made it
  std::uint64_t files = 0;    ///< of log and state
  std::uint64_t bytes = 0;    ///< of their lengths; most share their bytes with the data directory's own
  std::string replaced_by{};  ///< it was kept when this snapshot took its place; empty: it was asked for
};

struct Restore {
  std::string name;  ///< of the snapshot that takes the place of what there is
  TimePoint asked;
  std::string kept_as;    ///< the snapshot that holds what there was
  std::string because{};  ///< why, when nobody asked for it
};

/// Where everything is, and what it is read and written with. All outlive who uses them.
struct Place {
  Files& files;
  Clock& clock;
  Random& random;
  std::filesystem::path data_dir;  ///< with log/ and state/
  const journal::Keys* keys = nullptr;
  bool serve_damaged = false;  ///< a snapshot of which not all can be read is restored, too
};

/// Blocking, but for the constructor. Thread-safe; one call at a time, others are told that it is busy.
class Snapshots {
 public:
  virtual ~Snapshots() = default;
  /// Of all that was acknowledged before the call. Puts and changes go on. It is on disk when this returns.
  /// @param name  1 to 64 of A-Z a-z 0-9 . _ -, a letter or digit first; empty: the time
  /// @error invalid_name, exists, busy, unsupported, full, failed: nothing is left of it
  virtual Result<Snapshot> make(std::string_view name) = 0;
  /// By name. What is there and is no snapshot of ours is not told of.
  virtual Result<std::vector<Snapshot>> list() = 0;
  /// @error not_found, damaged
  virtual Result<Snapshot> find(std::string_view name) = 0;
  /// @error not_found, busy, failed
  virtual Result<> remove(std::string_view name) = 0;
  /// Looks whether all of the snapshot can be read, and puts it ready: the next start goes back to it. From then on the
  /// other calls that change something are busy.
  /// @error not_found, busy, damaged, full, failed
  virtual Result<Restore> prepare_restore(std::string_view name) = 0;
  /// The last one that was carried out in this data directory.
  virtual std::optional<Restore> last_restore() = 0;
};
/// @param store, engine  over data_dir; outlive it
std::unique_ptr<Snapshots> make_snapshots(Place place, state::Store& store, log::Engine& engine);

/// As Snapshots::prepare_restore(), where no store and engine is at work.
Result<Restore> prepare_restore(const Place& place, std::string_view name, std::string because = {});
/// At each start, before anything in the data directory is opened: carries out the restore that was prepared, from
/// where an earlier start may have left it, and gives it. Removes what calls that never ended have left. Blocking.
/// Numbers and positions go on behind all that the replaced life has given.
/// @error failed, full: nothing may be opened; the next start tries again
Result<std::optional<Restore>> finish_restore(const Place& place);

}  // namespace millrace::snapshots
