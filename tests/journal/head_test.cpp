#include "journal/head.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <string>

#include "journal/footer.hpp"

namespace millrace::journal {
namespace {

std::string hex(ByteView bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    if (!out.empty()) out += ' ';
    out += kDigits[static_cast<unsigned char>(c) >> 4];
    out += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

const std::string kPayload("\xe8\x03\0\0\0\0\0\0\x02\0\0\0\x01\0\0\0khi", 19);

Frame a_frame() {
  Frame frame;
  frame.log = 7;
  frame.epoch = 1;
  frame.base = 3;
  frame.first_ms = frame.last_ms = 1000;
  frame.count = 1;
  frame.length = static_cast<std::uint32_t>(kPayload.size());
  frame.checksum = crc32c(kPayload);
  return frame;
}
constexpr Lsn kAt = make_lsn(Generation{1}, 4160);

std::string formats_page() {
  std::ifstream page(std::string(MILLRACE_TEST_DATA) + "/../../docs/formats/journal.md");
  std::string text, word;
  while (page >> word) text += (text.empty() ? "" : " ") + word;
  return text;
}

TEST(FrameHead, IsTheBytesOfTheFormatsPage) {
  std::string head(kFrameHeadBytes, '\0');
  encode_frame_head(a_frame(), kAt, head.data());
  const std::string text = formats_page();
  EXPECT_NE(text.find(hex(head) + " " + hex(kPayload) + " 00 00 00 00 00"), std::string::npos) << hex(head);
}

TEST(FrameHead, IsReadBackAtItsPlaceAndNoOther) {
  std::string head(kFrameHeadBytes, '\0');
  encode_frame_head(a_frame(), kAt, head.data());
  EXPECT_EQ(decode_frame_head(head, kAt), a_frame());
  EXPECT_FALSE(decode_frame_head(head, make_lsn(Generation{2}, 4160)));
  EXPECT_FALSE(decode_frame_head(head, make_lsn(Generation{1}, 4168)));
  EXPECT_FALSE(decode_frame_head(ByteView(head).substr(1), kAt));
}

TEST(FrameHead, WithAnyBitChangedIsNone) {
  std::string head(kFrameHeadBytes, '\0');
  encode_frame_head(a_frame(), kAt, head.data());
  for (std::size_t bit = 0; bit < head.size() * 8; ++bit) {
    std::string changed = head;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(decode_frame_head(changed, kAt)) << bit;
  }
}

TEST(FrameHead, WithPositionsOrAnEpochThatNoLifeComesToIsNone) {
  std::string head(kFrameHeadBytes, '\0');
  const auto taken = [&](const Frame& frame) {
    encode_frame_head(frame, kAt, head.data());
    return decode_frame_head(head, kAt).has_value();
  };
  Frame frame = a_frame();
  frame.base = kCountMax - 2;
  EXPECT_TRUE(taken(frame));
  frame.base = kCountMax - 1;
  EXPECT_FALSE(taken(frame)) << "the next one would be too great";
  frame.base = UINT64_MAX;
  EXPECT_FALSE(taken(frame)) << "its end is smaller than its begin";
  frame.base = 3;
  frame.epoch = kCountMax;
  EXPECT_FALSE(taken(frame));
}

TEST(CommitHead, ThatTellsOfWhatCannotBeIsNone) {
  std::string head(kCommitHeadBytes, '\0');
  const auto taken = [&](auto change) {
    CommitHead commit;
    commit.synced = kAt;
    commit.follows = make_lsn(Generation{0}, UINT32_MAX);
    commit.bytes = 128;
    commit.frames = 2;
    change(commit);
    encode_commit_head(commit, kAt, head.data());
    return decode_commit_head(head, kAt).has_value();
  };
  EXPECT_TRUE(taken([](CommitHead&) {}));
  EXPECT_FALSE(taken([](CommitHead& commit) { commit.synced = Lsn{kAt.get() + 1}; })) << "behind itself";
  EXPECT_FALSE(taken([](CommitHead& commit) { commit.follows = make_lsn(Generation{1}, 0); })) << "itself";
  EXPECT_FALSE(taken([](CommitHead& commit) { commit.frames = 3; })) << "more than there is room for";
  EXPECT_FALSE(taken([](CommitHead& commit) { commit.bytes = UINT32_MAX; })) << "behind all that has a place";
}

TEST(CommitHead, IsReadBackAtItsPlaceAndIsNoFrame) {
  CommitHead commit;
  commit.synced = Lsn{99};
  commit.bytes = 448;
  commit.frames = 3;
  commit.written_ms = -5;
  commit.follows = Lsn{77};
  std::string head(kCommitHeadBytes, '\0');
  encode_commit_head(commit, kAt, head.data());
  const auto read = decode_commit_head(head, kAt);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->synced, commit.synced);
  EXPECT_EQ(read->bytes, commit.bytes);
  EXPECT_EQ(read->frames, commit.frames);
  EXPECT_EQ(read->written_ms, commit.written_ms);
  EXPECT_EQ(read->follows, commit.follows);
  EXPECT_FALSE(decode_commit_head(head, make_lsn(Generation{1}, 512)));
  EXPECT_FALSE(decode_frame_head(head, kAt));
}

TEST(FileHead, TellsAnotherVersionFromNoHead) {
  FileHead head;
  head.generation = Generation{5};
  head.previous_end = kAt;
  std::string block(kFileHeadBytes, '\0');
  FileHead read;
  EXPECT_EQ(decode_file_head(block, read), HeadState::none);
  encode_file_head(head, block.data());
  EXPECT_EQ(decode_file_head(block, read), HeadState::good);
  EXPECT_EQ(read.generation, head.generation);
  EXPECT_EQ(read.previous_end, head.previous_end);
  EXPECT_FALSE(read.synced);
  head.synced = true;
  head.version = 1;
  encode_file_head(head, block.data());
  EXPECT_EQ(decode_file_head(block, read), HeadState::good) << "the first is known";
  EXPECT_TRUE(read.synced);
  head.version = 9;
  encode_file_head(head, block.data());
  EXPECT_EQ(decode_file_head(block, read), HeadState::unknown_version);
  EXPECT_EQ(read.version, 9u);
  block[100] = 'x';
  EXPECT_EQ(decode_file_head(block, read), HeadState::none);
}

TEST(FileHead, WhosePreviousEndLiesInItIsNone) {
  FileHead head;
  head.generation = Generation{5};
  head.previous_end = make_lsn(Generation{5}, 0);
  std::string block(kFileHeadBytes, '\0');
  encode_file_head(head, block.data());
  FileHead read;
  EXPECT_EQ(decode_file_head(block, read), HeadState::none);
}

/// The footer of a file in which the frame is all there is.
Footer a_footer() {
  FrameIndex index(Generation{1});
  index.add(a_frame(), kAt);
  Trailer trailer;
  trailer.end = make_lsn(Generation{1}, 4608);
  trailer.synced = true;
  return make_footer(index, trailer, 4608);
}

TEST(Footer, IsTheBytesOfTheFormatsPage) {
  const Footer footer = a_footer();
  EXPECT_EQ(footer.at, 4608u);
  const std::string bytes = hex(footer.body + footer.trailer);
  EXPECT_NE(formats_page().find(bytes), std::string::npos) << bytes;
}

TEST(Footer, IsReadBackFromTheEndOfItsFileAndOfNoOther) {
  const auto files = make_memory_files();
  auto file = std::move(*files->create("/file"));
  const Footer footer = a_footer();
  const ByteView pieces[] = {footer.body, footer.trailer};
  ASSERT_TRUE(file->write_at(footer.at, pieces));
  const std::uint64_t size = *file->size();
  const auto read = *read_footer(*file, Generation{1}, size);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->trailer.end, make_lsn(Generation{1}, 4608));
  EXPECT_TRUE(read->trailer.synced);
  EXPECT_FALSE(read->trailer.closed);
  ASSERT_EQ(read->table.size(), 1u);
  EXPECT_EQ(read->table[0].part, (Part{Generation{1}, 7, 1, 3, 1, 1000, 1000, 19}));
  const auto list = decode_list(*file->read_at(read->table[0].offset, sizeof(IndexEntry)), read->table[0]);
  ASSERT_TRUE(list);
  EXPECT_EQ(place_of(read->table[0].part, list->front()).frame, a_frame());
  EXPECT_EQ(place_of(read->table[0].part, list->front()).lsn, kAt);
  EXPECT_FALSE(*read_footer(*file, Generation{2}, size)) << "what an earlier life of the file left";
  EXPECT_FALSE(*read_footer(*file, Generation{1}, size - 8));
}

TEST(Footer, ThatTellsOfWhatCannotBeInItsFileIsNone) {
  const Lsn at = make_lsn(Generation{1}, 4720);
  const auto trailer = [&](auto change) {
    Trailer told;
    told.end = make_lsn(Generation{1}, 4608);
    told.parts = 1;
    told.footer_bytes = 176;
    change(told);
    std::string bytes(kTrailerBytes, '\0');
    encode_trailer(told, at, bytes.data());
    return decode_trailer(bytes, at).has_value();
  };
  EXPECT_TRUE(trailer([](Trailer&) {}));
  EXPECT_FALSE(trailer([](Trailer& told) { told.end = make_lsn(Generation{2}, 4608); }));
  EXPECT_FALSE(trailer([](Trailer& told) { told.end = make_lsn(Generation{1}, 8); }));
  EXPECT_FALSE(trailer([](Trailer& told) { told.end = make_lsn(Generation{1}, 4616); })) << "in the footer";
  EXPECT_FALSE(trailer([](Trailer& told) { told.parts = 3; })) << "more than there is room for";
  EXPECT_FALSE(trailer([](Trailer& told) { told.previous_end = told.end; }));
  EXPECT_FALSE(trailer([](Trailer& told) { told.follows = told.end; }));
}

/// As a footer of one part with one entry, of which `change` makes another.
bool taken(const std::function<void(TableRow&, IndexEntry&)>& change) {
  const Footer footer = a_footer();
  std::string bytes = footer.body.substr(0, sizeof(IndexEntry));
  IndexEntry entry;
  std::memcpy(&entry, bytes.data(), sizeof entry);
  const auto trailer = decode_trailer(footer.trailer, make_lsn(Generation{1}, 4720));
  TableRow row = decode_table(ByteView(footer.body).substr(sizeof entry), *trailer, Generation{1}, 4784)->front();
  change(row, entry);
  std::memcpy(bytes.data(), &entry, sizeof entry);
  const std::uint64_t salt = make_lsn(row.part.file, row.offset).get();
  row.checksum = crc32c(bytes, crc32c({reinterpret_cast<const char*>(&salt), sizeof salt}));
  return decode_list(bytes, row).has_value();
}

TEST(Footer, AListOfFramesThatCannotBeInThePartIsNone) {
  EXPECT_TRUE(taken([](TableRow&, IndexEntry&) {}));
  EXPECT_FALSE(taken([](TableRow&, IndexEntry& entry) { entry.length = UINT32_MAX; })) << "more than the file";
  EXPECT_FALSE(taken([](TableRow&, IndexEntry& entry) { entry.offset = 0; })) << "in the file's head";
  EXPECT_FALSE(taken([](TableRow&, IndexEntry& entry) { entry.offset = 4784; })) << "behind the file";
  EXPECT_FALSE(taken([](TableRow&, IndexEntry& entry) { entry.base = 1; })) << "not where the part begins";
  EXPECT_FALSE(taken([](TableRow&, IndexEntry& entry) { entry.count = 2; })) << "more records than the part";
  EXPECT_FALSE(taken([](TableRow&, IndexEntry& entry) { entry.key_id = 1; })) << "not the part's key";
  EXPECT_FALSE(taken([](TableRow& row, IndexEntry& entry) {
    row.key_id = entry.key_id = 1;
    entry.length = kSealBytes - 1;
  })) << "sealed, and shorter than a seal";
}

TEST(Footer, ATableOfListsThatAreNotInTheFooterIsNone) {
  const Footer footer = a_footer();
  const auto good = decode_trailer(footer.trailer, make_lsn(Generation{1}, 4720));
  const auto table = [&](std::size_t at, std::uint64_t value, std::size_t bytes) {
    std::string row = footer.body.substr(sizeof(IndexEntry));
    std::memcpy(row.data() + at, &value, bytes);
    Trailer trailer = *good;
    const std::uint64_t salt = make_lsn(Generation{1}, 4648).get();
    trailer.table_checksum = crc32c(row, crc32c({reinterpret_cast<const char*>(&salt), sizeof salt}));
    return decode_table(row, trailer, Generation{1}, 4784).has_value();
  };
  EXPECT_TRUE(table(56, 4608, 4));
  EXPECT_FALSE(table(56, 4600, 4)) << "before the end of the commits";
  EXPECT_FALSE(table(56, 4616, 4)) << "in the table";
  EXPECT_FALSE(table(60, UINT32_MAX, 4)) << "more than the file";
  EXPECT_FALSE(table(16, UINT64_MAX, 8)) << "positions that no life comes to";
  EXPECT_FALSE(table(8, kCountMax, 8));
}

TEST(Footer, WithAnyBitChangedIsNone) {
  const auto files = make_memory_files();
  auto file = std::move(*files->create("/file"));
  const Footer footer = a_footer();
  const std::string good = footer.body + footer.trailer;
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    const ByteView pieces[] = {bytes};
    ASSERT_TRUE(file->write_at(footer.at, pieces));
    const auto read = *read_footer(*file, Generation{1}, *file->size());
    const bool in_list = bit / 8 < sizeof(IndexEntry);
    EXPECT_EQ(read.has_value(), in_list) << bit;
    if (read) {
      EXPECT_FALSE(decode_list(ByteView(bytes).substr(0, sizeof(IndexEntry)), read->table[0])) << bit;
    }
  }
}

}  // namespace
}  // namespace millrace::journal
