#include "journal/footer.hpp"

#include <algorithm>
#include <utility>

namespace millrace::journal {

namespace {

constexpr std::uint8_t kTrailerVersion = 1;
constexpr std::uint8_t kTrailerKind = 0x46;  // 'F': no kind of frame
constexpr std::uint16_t kSyncedFlag = 1, kClosedFlag = 2, kMovedFramesFlag = 4;
/// What is read of a file's end at once: trailer, and the table of some hundred logs.
constexpr std::uint64_t kEndBytes = 64 * 1024;

std::uint32_t salted_checksum(ByteView bytes, Lsn lsn) noexcept {
  const std::uint64_t salt = lsn.get();
  return crc32c(bytes, crc32c({reinterpret_cast<const char*>(&salt), sizeof salt}));
}

// Row: 0 log, 8 epoch, 16 base, 24 count, 32 first ms, 40 last ms, 48 bytes, 56 offset, 60 frames, 64 checksum, 68
// key id.
void encode_row(const TableRow& row, char* out) noexcept {
  put(out, 0, row.part.log);
  put(out, 8, row.part.epoch);
  put(out, 16, row.part.base);
  put(out, 24, row.part.count);
  put(out, 32, row.part.first_ms);
  put(out, 40, row.part.last_ms);
  put(out, 48, row.part.bytes);
  put(out, 56, row.offset);
  put(out, 60, row.frames);
  put(out, 64, row.checksum);
  put(out, 68, row.key_id);
}

TableRow decode_row(ByteView bytes, Generation file) noexcept {
  TableRow row;
  row.part.file = file;
  row.part.log = get<std::uint64_t>(bytes, 0);
  row.part.epoch = get<std::uint64_t>(bytes, 8);
  row.part.base = get<std::uint64_t>(bytes, 16);
  row.part.count = get<std::uint64_t>(bytes, 24);
  row.part.first_ms = get<std::int64_t>(bytes, 32);
  row.part.last_ms = get<std::int64_t>(bytes, 40);
  row.part.bytes = get<std::uint64_t>(bytes, 48);
  row.offset = get<std::uint32_t>(bytes, 56);
  row.frames = get<std::uint32_t>(bytes, 60);
  row.checksum = get<std::uint32_t>(bytes, 64);
  row.key_id = get<std::uint32_t>(bytes, 68);
  return row;
}

Error unreadable(const FileError& failed) { return {Errc::unreadable, failed.detail}; }

}  // namespace

// Trailer: 0 checksum, 4 version, 5 kind, 6 flags, 8 parts, 12 other frames, 16 LSN, 24 end, 32 previous end,
// 40 footer's bytes, 44 table's checksum, 48 follows; the rest is zero.
void encode_trailer(const Trailer& trailer, Lsn lsn, char* out) noexcept {
  std::memset(out, 0, kTrailerBytes);
  put(out, 4, kTrailerVersion);
  put(out, 5, kTrailerKind);
  put(out, 6,
      static_cast<std::uint16_t>((trailer.synced ? kSyncedFlag : 0) | (trailer.closed ? kClosedFlag : 0) |
                                 (trailer.moved ? kMovedFramesFlag : 0)));
  put(out, 8, trailer.parts);
  put(out, 12, trailer.other_frames);
  put(out, 16, lsn.get());
  put(out, 24, trailer.end.get());
  put(out, 32, trailer.previous_end.get());
  put(out, 40, trailer.footer_bytes);
  put(out, 44, trailer.table_checksum);
  put(out, 48, trailer.follows.get());
  put(out, 0, head_checksum({out, kTrailerBytes}, lsn.get()));
}

std::optional<Trailer> decode_trailer(ByteView bytes, Lsn lsn) noexcept {
  if (bytes.size() < kTrailerBytes) return std::nullopt;
  bytes = bytes.substr(0, kTrailerBytes);
  if (get<std::uint8_t>(bytes, 5) != kTrailerKind || get<std::uint64_t>(bytes, 16) != lsn.get()) return std::nullopt;
  if (get<std::uint32_t>(bytes, 0) != head_checksum(bytes, lsn.get())) return std::nullopt;
  if (get<std::uint8_t>(bytes, 4) != kTrailerVersion) return std::nullopt;
  Trailer trailer;
  const auto flags = get<std::uint16_t>(bytes, 6);
  trailer.synced = (flags & kSyncedFlag) != 0;
  trailer.closed = (flags & kClosedFlag) != 0;
  trailer.moved = (flags & kMovedFramesFlag) != 0;
  trailer.parts = get<std::uint32_t>(bytes, 8);
  trailer.other_frames = get<std::uint32_t>(bytes, 12);
  trailer.end = Lsn{get<std::uint64_t>(bytes, 24)};
  trailer.previous_end = Lsn{get<std::uint64_t>(bytes, 32)};
  trailer.footer_bytes = get<std::uint32_t>(bytes, 40);
  trailer.table_checksum = get<std::uint32_t>(bytes, 44);
  trailer.follows = Lsn{get<std::uint64_t>(bytes, 48)};
  const std::uint64_t file_bytes = offset_of(lsn) + kTrailerBytes;
  if (generation_of(trailer.end) != generation_of(lsn) || offset_of(trailer.end) < kFileHeadBytes) return std::nullopt;
  if (offset_of(trailer.end) + trailer.footer_bytes > file_bytes) return std::nullopt;
  if (kTrailerBytes + std::uint64_t{trailer.parts} * kTableRowBytes > trailer.footer_bytes) return std::nullopt;
  const Lsn begin = make_lsn(generation_of(lsn), 0);
  if (trailer.previous_end >= begin || trailer.follows >= begin) return std::nullopt;
  return trailer;
}

Footer make_footer(const FrameIndex& index, Trailer trailer, std::uint64_t file_bytes) {
  const std::uint64_t size = index.footer_bytes();
  Footer footer;
  footer.at = offset_of(trailer.end);
  if (file_bytes >= footer.at + size) footer.at = file_bytes - size;
  footer.body.reserve(size - kTrailerBytes);
  std::string table;
  for (const auto& [log, lists] : index.logs()) {
    for (const FrameIndex::List& list : lists) {
      TableRow row;
      row.part = list.part;
      row.key_id = list.key_id;
      row.offset = static_cast<std::uint32_t>(footer.at + footer.body.size());
      row.frames = static_cast<std::uint32_t>(list.entries.size());
      const std::size_t begin = footer.body.size();
      for (const IndexEntry& entry : list.entries)
        footer.body.append(reinterpret_cast<const char*>(&entry), sizeof entry);
      row.checksum = salted_checksum(ByteView(footer.body).substr(begin), make_lsn(index.file(), row.offset));
      table.resize(table.size() + kTableRowBytes);
      encode_row(row, table.data() + table.size() - kTableRowBytes);
      ++trailer.parts;
    }
  }
  const std::uint64_t end = footer.at + size;
  const Lsn lsn = make_lsn(index.file(), end - kTrailerBytes);
  trailer.other_frames = index.other_frames();
  trailer.moved = index.moved();
  trailer.footer_bytes = static_cast<std::uint32_t>(size);
  trailer.table_checksum = salted_checksum(table, make_lsn(index.file(), table_at(trailer, end)));
  footer.body += table;
  footer.trailer.resize(kTrailerBytes);
  encode_trailer(trailer, lsn, footer.trailer.data());
  return footer;
}

std::optional<Table> decode_table(ByteView bytes, const Trailer& trailer, Generation file, std::uint64_t file_bytes) {
  if (bytes.size() != std::uint64_t{trailer.parts} * kTableRowBytes) return std::nullopt;
  if (salted_checksum(bytes, make_lsn(file, table_at(trailer, file_bytes))) != trailer.table_checksum)
    return std::nullopt;
  Table table;
  table.reserve(trailer.parts);
  std::uint64_t log = 0;
  for (; !bytes.empty(); bytes.remove_prefix(kTableRowBytes)) {
    const TableRow& row = table.emplace_back(decode_row(bytes, file));
    const std::uint64_t list_end = row.offset + std::uint64_t{row.frames} * sizeof(IndexEntry);
    if (row.offset < offset_of(trailer.end) || list_end > table_at(trailer, file_bytes)) return std::nullopt;
    const Part& part = row.part;
    if (part.base >= kCountMax || part.count >= kCountMax - part.base || part.epoch >= kCountMax) return std::nullopt;
    if (part.log < std::exchange(log, part.log)) return std::nullopt;
  }
  return table;
}

std::optional<std::vector<IndexEntry>> decode_list(ByteView bytes, const TableRow& row) {
  if (bytes.size() != std::uint64_t{row.frames} * sizeof(IndexEntry)) return std::nullopt;
  if (salted_checksum(bytes, make_lsn(row.part.file, row.offset)) != row.checksum) return std::nullopt;
  std::vector<IndexEntry> entries(row.frames);
  if (!entries.empty()) std::memcpy(entries.data(), bytes.data(), bytes.size());
  std::uint64_t base = 0;
  for (const IndexEntry& entry : entries) {
    // Commits end where lists begin, or before.
    const std::uint64_t end = std::uint64_t{entry.offset} + kFrameHeadBytes + entry.length;
    if (entry.offset < kFileHeadBytes + kCommitHeadBytes || end > row.offset) return std::nullopt;
    if (entry.key_id != row.key_id || (entry.key_id && entry.length < kSealBytes)) return std::nullopt;
    if (entry.base != base) return std::nullopt;
    base += entry.count;
  }
  if (base != row.part.count) return std::nullopt;
  return entries;
}

Result<std::optional<FileFooter>> read_footer(File& file, Generation generation, std::uint64_t file_bytes) {
  using Answer = std::optional<FileFooter>;
  if (file_bytes < kFileHeadBytes + kTrailerBytes) return Answer{};
  const std::uint64_t from = file_bytes - std::min(file_bytes, kEndBytes);
  auto end = file.read_at(from, file_bytes - from);
  if (!end) return unreadable(end.error());
  if (end->size() < file_bytes - from) return Answer{};
  const ByteView last = ByteView(*end).substr(end->size() - kTrailerBytes);
  const auto trailer = decode_trailer(last, make_lsn(generation, file_bytes - kTrailerBytes));
  if (!trailer) return Answer{};
  const std::uint64_t size = std::uint64_t{trailer->parts} * kTableRowBytes;
  if (size > file_bytes - kFileHeadBytes - kTrailerBytes) return Answer{};
  const std::uint64_t at = table_at(*trailer, file_bytes);
  if (at < from) {
    end = file.read_at(at, size);
    if (!end) return unreadable(end.error());
  }
  const ByteView bytes = at < from ? ByteView(*end) : ByteView(*end).substr(at - from, size);
  auto table = decode_table(bytes, *trailer, generation, file_bytes);
  if (!table) return Answer{};
  return Answer{FileFooter{*trailer, std::move(*table)}};
}

}  // namespace millrace::journal
