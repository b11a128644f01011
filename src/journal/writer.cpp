#include "journal/writer.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

namespace millrace::journal {

namespace {

/// A commit that is synced begins in a sector of its own: rewriting a sector that holds an earlier one could tear it.
constexpr std::size_t kSyncedAlignment = 512;
constexpr std::size_t kAlignment = 8;
constexpr std::size_t kZerosBytes = 1u << 20;

const std::string& zeros() {
  static const std::string bytes(kZerosBytes, '\0');
  return bytes;
}

Error error_of(const FileError& failed) {
  const bool full = failed.error_number == ENOSPC || failed.error_number == EDQUOT;
  return {full ? Errc::full : Errc::write_failed, failed.detail};
}

std::string file_head(Generation generation, Lsn previous_end, std::int64_t now_ms) {
  FileHead head;
  head.generation = generation;
  head.previous_end = previous_end;
  head.created_ms = now_ms;
  std::string bytes(kFileHeadBytes, '\0');
  encode_file_head(head, bytes.data());
  return bytes;
}

constexpr std::uint64_t aligned(std::uint64_t offset, std::size_t to) noexcept { return (offset + to - 1) / to * to; }

}  // namespace

std::filesystem::path file_path(const std::filesystem::path& directory, Generation generation) {
  std::array<char, 32> name;
  std::snprintf(name.data(), name.size(), "journal-%08x", generation.get());
  return directory / name.data();
}

Writer::Writer(Files& files, Options options, Generation last, Lsn end)
    : files_(files), options_(std::move(options)), generation_(last), newest_(last) {
  if (offset_of(end) != 0) cut_ = end;
}

Result<> Writer::prepare(std::int64_t now_ms) {
  std::lock_guard one_at_a_time(preparing_);
  Generation generation;
  {
    std::lock_guard lock(mutex_);
    if (next_) return {};
    generation = newest_ = Generation{newest_.get() + 1};
  }
  auto made = make_file(generation, now_ms);
  if (!made) return made.error();
  std::lock_guard lock(mutex_);
  next_ = std::move(*made);
  return {};
}

Result<Writer::Open> Writer::make_file(Generation generation, std::int64_t now_ms) {
  const std::filesystem::path path = file_path(options_.directory, generation);
  std::filesystem::path unfinished = path;
  unfinished += ".new";
  const std::string head = file_head(generation, Lsn{}, now_ms);

  const auto fill = [&](File& file) -> FileResult<> {
    const std::array<ByteView, 1> first{head};
    if (auto written = file.append(first); !written) return written;
    for (std::uint64_t at = kFileHeadBytes; at < options_.file_bytes;) {
      const std::uint64_t size = std::min<std::uint64_t>(kZerosBytes, options_.file_bytes - at);
      const std::array<ByteView, 1> piece{ByteView(zeros()).substr(0, size)};
      if (auto written = file.append(piece); !written) return written;
      at += size;
    }
    return file.sync();
  };
  const auto failed = [&](const FileError& error) {
    (void)files_.remove(unfinished);  // what a full disk needs first is its room back
    return error_of(error);
  };
  auto file = files_.create(unfinished);
  if (!file) return error_of(file.error());
  if (auto filled = fill(**file); !filled) return failed(filled.error());
  if (auto renamed = files_.rename(unfinished, path); !renamed) return failed(renamed.error());
  // Until the directory is on disk nothing may count on the file.
  if (auto synced = files_.sync_directory(options_.directory); !synced) return error_of(synced.error());
  return Open{std::move(*file), generation};
}

Result<> Writer::begin_file(std::int64_t now_ms) {
  if (auto prepared = prepare(now_ms); !prepared) return prepared;
  Open next;
  {
    std::lock_guard lock(mutex_);
    next = std::move(*next_);
    next_.reset();
  }
  if (cut_) {
    const std::string head = file_head(next.generation, *cut_, now_ms);
    const std::array<ByteView, 1> pieces{head};
    if (auto written = next.file->write_at(0, pieces); !written) return error_of(written.error());
    if (auto synced = next.file->sync(true); !synced) return error_of(synced.error());
    cut_.reset();
  }
  file_ = std::move(next.file);
  generation_ = next.generation;
  offset_ = kFileHeadBytes;
  return {};
}

void Writer::layout(std::span<const OutFrame> frames, std::int64_t now_ms) {
  std::size_t payload_pieces = 0;
  for (const OutFrame& out : frames) payload_pieces += out.payload.size();
  heads_.resize(kCommitHeadBytes + frames.size() * kFrameHeadBytes);
  pieces_.clear();
  pieces_.reserve(2 + frames.size() * 2 + payload_pieces);

  pieces_.emplace_back(heads_.data(), kCommitHeadBytes);
  std::uint64_t at = offset_ + kCommitHeadBytes;
  char* head = heads_.data() + kCommitHeadBytes;
  for (const OutFrame& out : frames) {
    Frame frame = out.frame;
    frame.length = 0;
    frame.checksum = 0;
    for (const ByteView piece : out.payload) {
      frame.checksum = crc32c(piece, frame.checksum);
      frame.length += static_cast<std::uint32_t>(piece.size());
    }
    encode_frame_head(frame, make_lsn(generation_, at), head);
    pieces_.emplace_back(head, kFrameHeadBytes);
    pieces_.insert(pieces_.end(), out.payload.begin(), out.payload.end());
    head += kFrameHeadBytes;
    const std::uint64_t end = at + kFrameHeadBytes + frame.length;
    at = aligned(end, kAlignment);
    if (at > end) pieces_.push_back(ByteView(zeros()).substr(0, at - end));
  }
  const std::uint64_t end = aligned(at, options_.sync ? kSyncedAlignment : kAlignment);
  if (end > at) pieces_.push_back(ByteView(zeros()).substr(0, end - at));
  CommitHead commit;
  commit.synced = synced_;
  commit.bytes = static_cast<std::uint32_t>(end - offset_ - kCommitHeadBytes);
  commit.frames = static_cast<std::uint32_t>(frames.size());
  commit.written_ms = now_ms;
  encode_commit_head(commit, make_lsn(generation_, offset_), heads_.data());
}

Result<Lsn> Writer::commit(std::span<const OutFrame> frames, std::int64_t now_ms) {
  std::uint64_t bytes = kCommitHeadBytes + kSyncedAlignment;
  for (const OutFrame& out : frames) {
    bytes += kFrameHeadBytes + kAlignment;
    for (const ByteView piece : out.payload) bytes += piece.size();
  }
  // A commit larger than a file has one of its own, which grows.
  if (!file_ || (offset_ > kFileHeadBytes && offset_ + bytes > options_.file_bytes))
    if (auto begun = begin_file(now_ms); !begun) return begun.error();

  layout(frames, now_ms);
  const Lsn lsn = make_lsn(generation_, offset_);
  auto done = file_->write_at(offset_, pieces_);
  if (done && options_.sync) done = file_->sync(true);
  if (!done) {
    // Whatever of it is on disk, or comes there late, counts for nothing. What a failed sync leaves behind in the page
    // cache is not known, so the file is not written to again.
    file_.reset();
    cut_ = lsn;
    return error_of(done.error());
  }
  std::uint64_t written = 0;
  for (const ByteView piece : pieces_) written += piece.size();
  offset_ += written;
  if (options_.sync) synced_ = make_lsn(generation_, offset_);
  return lsn;
}

}  // namespace millrace::journal
