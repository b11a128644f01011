#include "millrace/snapshots/snapshots.hpp"

#include <algorithm>
#include <cctype>
#include <mutex>

#include "millrace/base/printable.hpp"
#include "snapshots/layout.hpp"

namespace millrace::snapshots {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kNameCharsMax = 64;

bool valid_name(std::string_view name) noexcept {
  const auto plain = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  const auto allowed = [&](char c) { return plain(c) || c == '.' || c == '_' || c == '-'; };
  return !name.empty() && name.size() <= kNameCharsMax && plain(name[0]) &&
         std::all_of(name.begin(), name.end(), allowed);
}

Error invalid_name(std::string_view name) {
  return {Errc::invalid_name,
          "a snapshot's name is 1 to 64 letters, digits, '.', '_' and '-', the first a letter or "
          "digit: " +
              in_quotes(name)};
}

class Kept final : public Snapshots {
 public:
  Kept(Place place, state::Store& store, log::Engine& engine)
      : place_(std::move(place)), layout_(place_.data_dir), store_(store), engine_(engine) {}

  Result<Snapshot> make(std::string_view given) override {
    Snapshot made;
    made.created = place_.clock.now();
    made.name = given.empty() ? name_of(made.created) : std::string(given);
    made.version = MILLRACE_VERSION;
    if (!valid_name(made.name)) return invalid_name(made.name);
    const std::unique_lock turn(mutex_, std::try_to_lock);
    if (auto free = check_free(turn); !free) return free.error();
    const auto there = is_there(files(), layout_.snapshots / made.name);
    if (!there) return error_of(there.error());
    if (*there) return Error{Errc::exists, "there is a snapshot " + made.name};
    auto done = make_lasting_directory(files(), layout_.snapshots);
    if (done) done = files().remove_all(layout_.making);
    if (done) done = files().make_directories(layout_.making);
    if (done) done = take(made);
    if (done) done = write_lasting(files(), layout_.making / kManifest, manifest_text(made));
    if (done) done = files().rename(layout_.making, layout_.snapshots / made.name);
    if (done) done = files().sync_directory(layout_.snapshots);
    if (done) return made;
    for (const fs::path& left : {layout_.making, layout_.snapshots / made.name}) (void)files().remove_all(left);
    return error_of(done.error());
  }

  Result<std::vector<Snapshot>> list() override {
    std::vector<Snapshot> out;
    const auto there = is_there(files(), layout_.snapshots);
    if (!there) return error_of(there.error());
    if (!*there) return out;
    auto names = files().list(layout_.snapshots);
    if (!names) return error_of(names.error());
    std::sort(names->begin(), names->end());
    for (const std::string& name : *names)
      if (valid_name(name))
        if (auto found = read_manifest(files(), layout_.snapshots / name)) out.push_back(*std::move(found));
    return out;
  }

  Result<Snapshot> find(std::string_view name) override {
    if (!valid_name(name)) return invalid_name(name);
    return read_manifest(files(), layout_.snapshots / name);
  }

  Result<> remove(std::string_view name) override {
    if (!valid_name(name)) return invalid_name(name);
    const std::unique_lock turn(mutex_, std::try_to_lock);
    if (auto free = check_free(turn); !free) return free.error();
    if (auto found = read_manifest(files(), layout_.snapshots / name); !found && found.error().code == Errc::not_found)
      return found.error();
    // Gone as a whole, whatever happens while its files go.
    auto done = files().remove_all(layout_.removing);
    if (done) done = files().rename(layout_.snapshots / name, layout_.removing);
    if (done) done = files().sync_directory(layout_.snapshots);
    if (done) done = files().remove_all(layout_.removing);
    if (!done) return error_of(done.error());
    return {};
  }

  Result<Restore> prepare_restore(std::string_view name) override {
    if (!valid_name(name)) return invalid_name(name);
    const std::unique_lock turn(mutex_, std::try_to_lock);
    if (auto free = check_free(turn); !free) return free.error();
    auto prepared = snapshots::prepare_restore(place_, name);
    prepared_ = prepared.has_value();
    return prepared;
  }

  std::optional<Restore> last_restore() override { return read_restore(files(), layout_.restored); }

 private:
  Files& files() const noexcept { return place_.files; }

  Result<> check_free(const std::unique_lock<std::mutex>& turn) const {
    if (!turn) return Error{Errc::busy, "another snapshot is being made, removed or put ready"};
    if (prepared_) return Error{Errc::busy, "a restore is under way"};
    return {};
  }
  // State first: what it says of records, such as how far they are delivered, is then true of those that follow.
  FileResult<> take(Snapshot& snapshot) {
    const auto state = store_.snapshot(layout_.making / kState);
    if (!state) return state.error();
    const auto log = engine_.snapshot(layout_.making / kLog);
    if (!log) return log.error();
    snapshot.files = state->files + log->files;
    snapshot.bytes = state->bytes + log->bytes;
    return {};
  }

  const Place place_;
  const Layout layout_;
  state::Store& store_;
  log::Engine& engine_;
  std::mutex mutex_;
  bool prepared_ = false;
};

}  // namespace

std::unique_ptr<Snapshots> make_snapshots(Place place, state::Store& store, log::Engine& engine) {
  return std::make_unique<Kept>(std::move(place), store, engine);
}

}  // namespace millrace::snapshots
