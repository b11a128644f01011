#include "journal/key_check.hpp"

#include <array>
#include <vector>

#include "journal/footer.hpp"
#include "journal/head.hpp"
#include "journal/seal.hpp"
#include "journal/shelf.hpp"

namespace millrace::journal {

namespace {

namespace fs = std::filesystem;

/// How many files are tried: a frame that was changed, checksums too, is not to pass for a sign of another key.
constexpr int kFilesTried = 3;

/// The last frames of records in the file that the key seals, one of each part.
Result<std::vector<Place>> frames_of(File& file, Generation generation, const FoundFile& found, std::uint32_t key_id) {
  std::vector<Place> out;
  if (found.index)
    for (const auto& [log, lists] : found.index->logs())
      for (const FrameIndex::List& list : lists)
        if (list.key_id == key_id) out.push_back(place_of(list.part, list.entries.back()));
  if (!found.footer) return out;
  auto footer = read_footer(file, generation, found.bytes);
  if (!footer) return footer.error();
  if (!*footer) return out;
  for (const TableRow& row : (*footer)->table) {
    if (row.key_id != key_id || row.frames == 0) continue;
    auto bytes = file.read_at(row.offset, std::uint64_t{row.frames} * sizeof(IndexEntry));
    if (!bytes) return Error{Errc::unreadable, bytes.error().detail};
    if (const auto list = decode_list(*bytes, row)) {
      out.push_back(place_of(row.part, list->back()));
      break;  // one will do
    }
  }
  return out;
}

enum class Trial { opened, not_opened, nothing_to_try };

/// Opens a frame that is as it was written, if there is one.
Result<Trial> try_file(File& file, Generation generation, const FoundFile& found, std::uint32_t key_id,
                       Opener& opener) {
  const auto bytes = file.read_at(0, kFileHeadBytes);
  if (!bytes) return Error{Errc::unreadable, bytes.error().detail};
  FileHead head;
  if (decode_file_head(*bytes, head) != HeadState::good || head.generation != generation) return Trial::nothing_to_try;
  auto places = frames_of(file, generation, found, key_id);
  if (!places) return places.error();
  std::string plain;
  for (const Place& place : *places) {
    const auto stored = file.read_at(offset_of(place.lsn), kFrameHeadBytes + stored_bytes(place.frame));
    if (!stored) return Error{Errc::unreadable, stored.error().detail};
    const auto frame = decode_frame_head(*stored, place.lsn);
    const ByteView payload = ByteView(*stored).substr(std::min(stored->size(), kFrameHeadBytes));
    if (!frame || frame->key_id != key_id || frame->length != payload.size() || crc32c(payload) != frame->checksum)
      continue;
    return opener.open(head.salt, *frame, place.lsn, payload, plain) == Opener::Outcome::opened ? Trial::opened
                                                                                                : Trial::not_opened;
  }
  return Trial::nothing_to_try;
}

}  // namespace

Result<> check_keys(Files& files, const fs::path& directory, const Keys& keys, const Found& found) {
  struct Tried {
    int files = 0;
    bool opened = false;
    Generation failed;  // the newest file that it did not open
  };
  std::map<std::uint32_t, Tried> tried;  // by key
  Opener opener(keys);
  for (auto at = found.files.rbegin(); at != found.files.rend(); ++at) {
    const auto& [generation, told] = *at;
    for (const std::uint32_t id : told.key_ids) {
      const fs::path path = file_path(directory, generation);
      if (!keys.key(id)) return no_key(path, id);
      Tried& key = tried[id];
      if (key.opened || key.files == kFilesTried) continue;
      auto file = files.open(path);
      if (!file) return Error{Errc::unreadable, file.error().detail};
      auto trial = try_file(**file, generation, told, id, opener);
      if (!trial) return trial.error();
      if (*trial == Trial::nothing_to_try) continue;
      if (key.files++ == 0) key.failed = generation;
      key.opened = *trial == Trial::opened;
    }
  }
  for (const auto& [id, key] : tried)
    if (key.files > 0 && !key.opened) return other_key(file_path(directory, key.failed), id);
  return {};
}

}  // namespace millrace::journal
