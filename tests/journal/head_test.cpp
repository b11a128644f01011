#include "journal/head.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

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

TEST(FrameHead, IsTheBytesOfTheFormatsPage) {
  std::string head(kFrameHeadBytes, '\0');
  encode_frame_head(a_frame(), kAt, head.data());
  std::ifstream page(std::string(MILLRACE_TEST_DATA) + "/../../docs/formats/journal.md");
  std::string text, word;
  while (page >> word) text += (text.empty() ? "" : " ") + word;
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

TEST(CommitHead, IsReadBackAtItsPlaceAndIsNoFrame) {
  CommitHead commit;
  commit.synced = Lsn{99};
  commit.bytes = 448;
  commit.frames = 3;
  commit.written_ms = -5;
  std::string head(kCommitHeadBytes, '\0');
  encode_commit_head(commit, kAt, head.data());
  const auto read = decode_commit_head(head, kAt);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->synced, commit.synced);
  EXPECT_EQ(read->bytes, commit.bytes);
  EXPECT_EQ(read->frames, commit.frames);
  EXPECT_EQ(read->written_ms, commit.written_ms);
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
  head.version = 9;
  encode_file_head(head, block.data());
  EXPECT_EQ(decode_file_head(block, read), HeadState::unknown_version);
  EXPECT_EQ(read.version, 9u);
  block[100] = 'x';
  EXPECT_EQ(decode_file_head(block, read), HeadState::none);
}

}  // namespace
}  // namespace millrace::journal
