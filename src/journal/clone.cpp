#include <algorithm>
#include <cerrno>

#include "journal/footer.hpp"
#include "journal/found.hpp"
#include "journal/shelf.hpp"
#include "millrace/journal/journal.hpp"

namespace millrace::journal {

namespace fs = std::filesystem;

namespace {

FileResult<> clone_file(Files& files, const fs::path& from, const fs::path& to, Generation file, SnapshotFiles& out) {
  auto opened = files.open(from);
  if (!opened) return opened.error();
  const auto bytes = (*opened)->size();
  if (!bytes) return bytes.error();
  const auto footer = read_footer(**opened, file, *bytes);
  if (!footer) return FileError{EIO, footer.error().detail};
  bool linked = false;
  if (*footer) {
    const auto put = link_or_copy(files, from, to);
    if (!put) return put.error();
    linked = *put;
  } else if (auto copied = copy_file(files, from, to); !copied) {
    return copied;
  }
  ++out.files;
  out.bytes += *bytes;
  if (!linked) out.copied += *bytes;
  return {};
}

}  // namespace

FileResult<SnapshotFiles> clone(Files& files, const fs::path& from, const fs::path& to) {
  const auto names = files.list(from);
  if (!names) return names.error();
  if (auto made = files.make_directories(to); !made) return made.error();
  SnapshotFiles out;
  for (const std::string& name : *names)
    if (const auto file = generation_in(name))
      if (auto put = clone_file(files, from / name, to / name, *file, out); !put) return put.error();
  if (auto synced = files.sync_directory(to); !synced) return synced.error();
  return out;
}

Generation highest_given(Files& files, const fs::path& directory) {
  Generation highest;
  if (const auto names = files.list(directory))
    for (const std::string& name : *names)
      if (const auto file = generation_in(name)) highest = std::max(highest, *file);
  if (const auto scanned = scan_index(files, directory))
    for (const Part& part : scanned->parts)
      highest = std::max(highest, Generation{static_cast<std::uint32_t>((part.base + part.count) >> 32)});
  return highest;
}

}  // namespace millrace::journal
