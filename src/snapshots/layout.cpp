#include "snapshots/layout.hpp"

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "millrace/base/utc_text.hpp"
#include "millrace/base/write_synced.hpp"

namespace millrace::snapshots {

namespace fs = std::filesystem;

namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormat = 1;
constexpr std::size_t kTextBytesMax = 64 * 1024;

TimePoint time_of(const Json& ms) { return TimePoint{std::chrono::milliseconds{ms.get<std::int64_t>()}}; }

}  // namespace

std::string name_of(TimePoint at) {
  std::string name = utc_text(at);
  std::replace(name.begin(), name.end(), ':', '-');
  return name;
}

Error error_of(const FileError& error) {
  const Errc code = error.error_number == ENOSPC || error.error_number == EDQUOT ? Errc::full
                    : error.error_number == ENOTSUP                              ? Errc::unsupported
                                                                                 : Errc::failed;
  return {code, error.detail};
}

FileResult<bool> is_there(Files& files, const fs::path& path) {
  const auto kind = files.kind(path);
  if (!kind) return kind.error();
  return {boost::system::in_place_value, *kind != Files::Kind::none};
}

FileResult<> write_lasting(Files& files, const fs::path& path, std::string_view text) {
  if (auto written = write_synced(files, path, text); !written) return written;
  return files.sync_directory(path.parent_path());
}

std::string manifest_text(const Snapshot& snapshot) {
  const Json json = {{"format", kFormat},
                     {"name", snapshot.name},
                     {"created_ms", snapshot.created.time_since_epoch().count()},
                     {"version", snapshot.version},
                     {"files", snapshot.files},
                     {"bytes", snapshot.bytes},
                     {"replaced_by", snapshot.replaced_by}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<Snapshot> read_manifest(Files& files, const fs::path& directory) {
  const fs::path path = directory / kManifest;
  const auto text = files.read_all(path, kTextBytesMax);
  if (!text && (text.error().error_number == ENOENT || text.error().error_number == ENOTDIR))
    return Error{Errc::not_found, "there is no snapshot " + directory.filename().native()};
  if (!text) return Error{Errc::failed, text.error().detail};
  const Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  try {
    if (const int format = json.at("format").get<int>(); format != kFormat)
      return Error{Errc::damaged, path.native() + ": format version " + std::to_string(format) + " is not known here"};
    return Snapshot{.name = directory.filename().native(),
                    .created = time_of(json.at("created_ms")),
                    .version = json.at("version").get<std::string>(),
                    .files = json.at("files").get<std::uint64_t>(),
                    .bytes = json.at("bytes").get<std::uint64_t>(),
                    .replaced_by = json.at("replaced_by").get<std::string>()};
  } catch (const Json::exception& e) {
    return Error{Errc::damaged, path.native() + ": " + e.what()};
  }
}

std::string restore_text(const Restore& restore) {
  const Json json = {{"format", kFormat},
                     {"snapshot", restore.name},
                     {"asked_ms", restore.asked.time_since_epoch().count()},
                     {"kept_as", restore.kept_as},
                     {"because", restore.because}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::optional<Restore> read_restore(Files& files, const fs::path& path) {
  const auto text = files.read_all(path, kTextBytesMax);
  if (!text) return std::nullopt;
  const Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  try {
    if (json.at("format").get<int>() != kFormat) return std::nullopt;
    return Restore{.name = json.at("snapshot").get<std::string>(),
                   .asked = time_of(json.at("asked_ms")),
                   .kept_as = json.at("kept_as").get<std::string>(),
                   .because = json.at("because").get<std::string>()};
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

}  // namespace millrace::snapshots
