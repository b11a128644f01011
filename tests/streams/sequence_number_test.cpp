#include "millrace/streams/sequence_number.hpp"

#include <gtest/gtest.h>

#include <boost/multiprecision/cpp_int.hpp>

namespace millrace::streams {
namespace {

using boost::multiprecision::cpp_int;

constexpr std::int64_t kCreatedS = 1'767'225'598, kArrivalMs = 1'767'225'600'123;

TEST(SequenceNumber, IsLaidOutAsAwsLaysItOut) {
  const cpp_int expected = (cpp_int(2) << 184) + (cpp_int(kCreatedS) << 148) + (cpp_int(3) << 144) +
                           (cpp_int(42) << 80) + (cpp_int(kArrivalMs / 1000) << 36) + (cpp_int(0x13) << 4) + 2;
  EXPECT_EQ(SequenceNumbers(0x13, kCreatedS).text(log::Position{41}, kArrivalMs), expected.str());
}

TEST(SequenceNumber, NeighbouringStartingNumbersDifferByTheDocumentedStep) {
  const cpp_int step("22300745198530623141535718272648361505980432");
  for (std::uint32_t shard = 0; shard < 15; ++shard)
    EXPECT_EQ(cpp_int(SequenceNumbers(shard + 1, kCreatedS).starting()) -
                  cpp_int(SequenceNumbers(shard, kCreatedS).starting()),
              step);
}

TEST(SequenceNumber, HasAlways56Digits) {
  for (const std::int64_t created : {std::int64_t{0}, kCreatedS, std::int64_t{16'025'174'999}})
    for (const std::uint32_t shard : {0u, 15u, 19'999u, 2'147'483'647u})
      EXPECT_EQ(SequenceNumbers(shard, created).starting().size(), 56u);
}

TEST(SequenceNumber, DecodesToWhatItWasMadeOf) {
  const auto fields = decode_sequence_number(
      SequenceNumbers(19'999, kCreatedS).text(log::Position{(std::uint64_t{5} << 32) + 7}, kArrivalMs));
  ASSERT_TRUE(fields);
  EXPECT_EQ(fields->version, 2);
  EXPECT_EQ(fields->shard_created_s, kCreatedS);
  EXPECT_EQ(fields->counter, (std::uint64_t{5} << 32) + 8);
  EXPECT_EQ(fields->record_s, kArrivalMs / 1000);
  EXPECT_EQ(fields->shard_index, 19'999u);
  const auto ending = decode_sequence_number(SequenceNumbers(1, kCreatedS).ending(kCreatedS + 9));
  ASSERT_TRUE(ending);
  EXPECT_EQ(ending->counter, kEndingCounter);
}

TEST(SequenceNumber, RunMakesTheSameNumbersByAddition) {
  const SequenceNumbers numbers(7, kCreatedS);
  for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{99'999'990}, (std::uint64_t{1} << 32) - 5,
                                    std::uint64_t{0x7fff'ffff'0000'0000}}) {
    std::int64_t arrival = kArrivalMs;
    auto run = numbers.run(log::Position{first}, arrival);
    for (std::uint64_t i = 0; i < 300; ++i) {
      std::string text(56, ' ');
      run.write(text.data());
      ASSERT_EQ(text, numbers.text(log::Position{first + i}, arrival));
      arrival += i % 7 * 331;
      run.next(arrival);
    }
  }
}

TEST(SequenceNumber, RefusesWhatIsNotOne) {
  const std::string good = SequenceNumbers(3, kCreatedS).text(log::Position{1}, kArrivalMs);
  const cpp_int number(good);
  EXPECT_TRUE(decode_sequence_number(good));
  EXPECT_FALSE(decode_sequence_number(""));
  EXPECT_FALSE(decode_sequence_number("12a"));
  EXPECT_FALSE(decode_sequence_number(cpp_int(number + 1).str()));                    // version 3
  EXPECT_FALSE(decode_sequence_number(cpp_int(number + (cpp_int(1) << 184)).str()));  // top constant 3
  EXPECT_FALSE(decode_sequence_number(cpp_int(number + (cpp_int(1) << 144)).str()));  // nibble of another shard
  EXPECT_FALSE(decode_sequence_number(cpp_int(number + (cpp_int(1) << 72)).str()));   // the zero byte
  EXPECT_FALSE(decode_sequence_number(std::string(129, '9')));
  EXPECT_FALSE(decode_sequence_number(SequenceNumbers(3, kCreatedS).text(log::Position{1}, 16'025'175'000'000)));
}

TEST(SequenceNumber, SmallNumbersAreOfTheOldestVersion) {
  const auto fields = decode_sequence_number("5");
  ASSERT_TRUE(fields);
  EXPECT_EQ(fields->version, 0);
  EXPECT_EQ(fields->shard_index, 5u);
}

}  // namespace
}  // namespace millrace::streams
