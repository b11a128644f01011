#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <exception>

#include "millrace/base/log.hpp"
#include "millrace/journal/journal.hpp"
#include "snapshots/layout.hpp"

namespace millrace::snapshots {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kRestores = "restores";

template <class E>
Error damaged(const E& error) {
  return {Errc::damaged, error.detail};
}

const journal::Keys* keys_of(const Place& place) { return place.keys ? place.keys : &journal::no_keys(); }

/// Whether a start would get by with what is in a snapshot.
Result<> check(const Place& place, const fs::path& directory) {
  std::vector<std::string> found;
  const auto log = journal::scan_index(place.files, directory / kLog, keys_of(place));
  if (!log) return damaged(log.error());
  for (const journal::Damage& damage : log->damage)
    found.push_back(damage.file.native() + ", offset " + std::to_string(damage.offset) + ": " +
                    std::to_string(damage.bytes) + " bytes are damaged and hide " + damage.hides);
  const auto state = state::read_journal(place.files, directory / kState, keys_of(place));
  if (!state) return damaged(state.error());
  found.insert(found.end(), state->damage.begin(), state->damage.end());
  if (found.empty() || place.serve_damaged) return {};
  return Error{Errc::damaged, found.front() + (found.size() > 1 ? "; and more" : "")};
}

Result<std::string> name_to_keep_under(const Place& place, const Layout& layout) {
  const std::string stem = "replaced-" + name_of(place.clock.now());
  for (int i = 1;; ++i) {
    std::string name = i == 1 ? stem : stem + "-" + std::to_string(i);
    const auto taken = is_there(place.files, layout.snapshots / name);
    if (!taken) return error_of(taken.error());
    if (!*taken) return name;
  }
}

FileResult<> clone_part(const Place& place, const fs::path& from, const fs::path& to, Snapshot* sum = nullptr) {
  const auto there = is_there(place.files, from);
  if (!there) return there.error();
  if (!*there) return place.files.make_directories(to);
  const auto cloned = journal::clone(place.files, from, to);
  if (!cloned) return cloned.error();
  if (!sum) return {};
  sum->files += cloned->files;
  sum->bytes += cloned->bytes;
  return {};
}

FileResult<> put_ready(const Place& place, const Layout& layout, const Restore& restore) {
  auto done = place.files.remove_all(layout.restoring);
  if (done) done = make_lasting_directory(place.files, layout.restoring);
  for (const std::string_view part : kParts)
    if (done) done = clone_part(place, layout.snapshots / restore.name / part, layout.restoring / part);
  if (done) done = place.files.sync_directory(layout.restoring);
  // From here on it is going to happen, with all that is there.
  if (done) done = write_lasting(place.files, layout.asked, restore_text(restore));
  if (!done) (void)place.files.remove_all(layout.restoring);
  return done;
}

/// Up to where the life that ends has given numbers.
std::uint64_t highest_number(const Place& place, const fs::path& restored, const fs::path& replaced) {
  std::uint64_t highest = 0;
  for (const fs::path& directory : {restored, replaced}) {
    const auto state = state::read_journal(place.files, directory, keys_of(place));
    if (state) highest = std::max(highest, state->highest_number);
    if (!state || !state->damage.empty()) highest += state::kNumbersLeap;
  }
  return highest;
}

FileResult<> failed(std::string detail) { return FileError{EIO, std::move(detail)}; }

FileResult<> make_numbers_go_on(const Place& place, const Layout& layout) {
  const fs::path directory = layout.restoring / kState;
  state::JournalStoreOptions options{.directory = directory};
  options.numbers_after = highest_number(place, directory, layout.data / kState);
  options.serve_damaged = place.serve_damaged;
  options.keys = place.keys;
  options.random = &place.random;
  // The store's thread may still be at its last post() when the number is there: the context outlives the store.
  boost::asio::io_context io;
  std::optional<state::Result<std::uint64_t>> number;
  auto opened = state::make_journal_store(place.files, place.clock, options);
  if (!opened) return failed(opened.error().detail);
  boost::asio::co_spawn(
      io,
      [](state::Store& store, std::optional<state::Result<std::uint64_t>>& out) -> awaitable<void> {
        out = co_await store.next_number(std::string(kRestores));
      }(*opened->store, number),
      [](std::exception_ptr error) {
        if (error) std::rethrow_exception(error);
      });
  // The store's own thread answers, so that there may be nothing to run for a while.
  const auto work = boost::asio::make_work_guard(io);
  while (!number) io.run_one();
  if (!*number) return failed(number->error().detail);
  return {};
}

FileResult<> make_positions_go_on(const Place& place, const Layout& layout) {
  const fs::path directory = layout.restoring / kLog;
  const journal::Generation restored = journal::highest_given(place.files, directory),
                            replaced = journal::highest_given(place.files, layout.data / kLog);
  const journal::Generation last{std::max(restored, replaced).get() + 1};
  auto begun = journal::begin_behind(place.files, directory, last, place.clock.now().time_since_epoch().count());
  if (begun) return {};
  return journal::as_file_error(begun.error());
}

FileResult<> keep_what_there_is(const Place& place, const Layout& layout, const Restore& restore) {
  Snapshot kept{
      .name = restore.kept_as, .created = place.clock.now(), .version = MILLRACE_VERSION, .replaced_by = restore.name};
  const fs::path directory = layout.snapshots / restore.kept_as;
  auto done = place.files.remove_all(directory);
  if (done) done = make_lasting_directory(place.files, directory);
  for (const std::string_view part : kParts)
    if (done) done = clone_part(place, layout.data / part, directory / part, &kept);
  if (done) done = write_lasting(place.files, directory / kManifest, manifest_text(kept));
  return done;
}

// Not the directory itself: it may be a mount point.
FileResult<> empty(Files& files, const fs::path& directory) {
  const auto there = is_there(files, directory);
  if (!there) return there.error();
  if (!*there) return {};
  const auto names = files.list(directory);
  if (!names) return names.error();
  for (const std::string& name : *names)
    if (auto gone = files.remove_all(directory / name); !gone) return gone;
  return {};
}

FileResult<> take_its_place(const Place& place, const Layout& layout) {
  FileResult<> done;
  for (const std::string_view part : kParts) {
    if (done) done = empty(place.files, layout.data / part);
    if (done) done = clone_part(place, layout.restoring / part, layout.data / part);
  }
  if (done) done = place.files.sync_directory(layout.data);
  return done;
}

// Each step leaves what it was made from, and is begun again when its end is not on disk: nothing depends on renames.
FileResult<> carry_out(const Place& place, const Layout& layout, const Restore& restore) {
  const auto step = [&](const fs::path& mark, const auto& work) -> FileResult<> {
    const auto over = is_there(place.files, mark);
    if (!over) return over.error();
    if (*over) return {};
    if (auto done = work(); !done) return done;
    return write_lasting(place.files, mark, "");
  };
  auto done = step(layout.numbered, [&] {
    auto going_on = make_positions_go_on(place, layout);
    return going_on ? make_numbers_go_on(place, layout) : going_on;
  });
  if (done) done = step(layout.kept, [&] { return keep_what_there_is(place, layout, restore); });
  if (done) done = take_its_place(place, layout);
  if (done) done = write_lasting(place.files, layout.restored, restore_text(restore));
  if (done) done = place.files.remove(layout.asked);
  if (done) done = place.files.sync_directory(layout.restoring);
  return done;
}

/// What can be done when it could not be carried out.
std::string what_to_do(const Place& place, const Layout& layout, const Restore& restore) {
  const auto kept = is_there(place.files, layout.kept);
  if (kept && !*kept) return "The next start tries again; to go on without it, remove " + layout.restoring.native();
  return "The next start tries again; what there was is in " + (layout.snapshots / restore.kept_as).native();
}

/// What is of no use to anybody.
void clear(const Place& place, const Layout& layout) {
  for (const fs::path& left : {layout.restoring, layout.making, layout.removing})
    if (auto gone = place.files.remove_all(left); !gone)
      logging::warn("what a snapshot or restore has left could not be removed", {{"error", gone.error().detail}});
}

}  // namespace

Result<Restore> prepare_restore(const Place& place, std::string_view name, std::string because) {
  const Layout layout(place.data_dir);
  auto found = read_manifest(place.files, layout.snapshots / name);
  if (!found) return found.error();
  if (auto sound = check(place, layout.snapshots / name); !sound) return sound.error();
  const auto kept_as = name_to_keep_under(place, layout);
  if (!kept_as) return kept_as.error();
  Restore restore{std::string(name), place.clock.now(), *kept_as, std::move(because)};
  if (auto ready = put_ready(place, layout, restore); !ready) return error_of(ready.error());
  return restore;
}

Result<std::optional<Restore>> finish_restore(const Place& place) {
  const Layout layout(place.data_dir);
  std::optional<Restore> restore = read_restore(place.files, layout.asked);
  // One that is not whole was never asked for, unless a step has been taken.
  const auto asked = is_there(place.files, layout.asked), begun = is_there(place.files, layout.numbered);
  if (!restore && asked && *asked && begun && *begun)
    return Error{Errc::failed, layout.asked.native() + " is damaged: which snapshot was being restored cannot be told"};
  if (restore)
    if (auto done = carry_out(place, layout, *restore); !done) {
      Error error = error_of(done.error());
      error.detail = "the snapshot " + restore->name + " cannot be restored: " + error.detail + ". " +
                     what_to_do(place, layout, *restore);
      return error;
    }
  clear(place, layout);
  return restore;
}

}  // namespace millrace::snapshots
