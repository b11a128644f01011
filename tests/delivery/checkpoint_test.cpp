#include "delivery/checkpoint.hpp"

#include <gtest/gtest.h>

namespace millrace::delivery {
namespace {

using log::Position;
using Finished = std::map<std::uint64_t, std::uint64_t>;

TEST(ShardProgress, MovesOverWhatIsFinishedWithoutAGap) {
  ShardProgress progress(Position{10});
  progress.finish(Position{20}, Position{30});
  EXPECT_EQ(progress.next(), Position{10});
  EXPECT_EQ(progress.finished(), (Finished{{20, 30}}));
  progress.finish(Position{40}, Position{50});
  progress.finish(Position{30}, Position{35});
  EXPECT_EQ(progress.finished(), (Finished{{20, 35}, {40, 50}}));
  progress.finish(Position{10}, Position{20});
  EXPECT_EQ(progress.next(), Position{35});
  EXPECT_EQ(progress.finished(), (Finished{{40, 50}}));
  progress.finish(Position{36}, Position{45});
  EXPECT_EQ(progress.next(), Position{35});
  EXPECT_EQ(progress.finished(), (Finished{{36, 50}}));
  progress.finish(Position{5}, Position{36});
  EXPECT_EQ(progress.next(), Position{50});
  EXPECT_TRUE(progress.finished().empty());
}

TEST(ShardProgress, SkipsWhatIsGone) {
  ShardProgress progress(Position{0});
  progress.finish(Position{10}, Position{20});
  progress.finish(Position{30}, Position{40});
  progress.skip_to(Position{15});
  EXPECT_EQ(progress.next(), Position{20});
  progress.skip_to(Position{12});
  EXPECT_EQ(progress.next(), Position{20});
  progress.skip_to(Position{100});
  EXPECT_EQ(progress.next(), Position{100});
  EXPECT_TRUE(progress.finished().empty());
}

Stored example() {
  Stored stored;
  stored.spec.name = "events-to-s3";
  stored.spec.source_stream = "events";
  stored.spec.source_arn = "arn:aws:kinesis:us-east-1:000000000000:stream/events";
  stored.spec.source_role_arn = "arn:aws:iam::000000000000:role/r";
  stored.spec.s3.role_arn = "arn:aws:iam::000000000000:role/s3";
  stored.spec.s3.bucket = "datalake";
  stored.spec.s3.prefix = "räw/";
  stored.spec.s3.error_output_prefix = "errors/";
  stored.spec.s3.size_mib = 7;
  stored.spec.s3.interval = std::chrono::seconds{0};
  stored.spec.s3.append_delimiter = true;
  stored.spec.s3.delimiter = "\r\n\"";
  stored.spec.s3.processing_json = "{}";
  stored.incarnation = 3;
  stored.source_incarnation = 9;
  stored.version = 2;
  stored.created = TimePoint{std::chrono::milliseconds{1'767'225'600'123}};
  stored.active_at = stored.created + std::chrono::milliseconds{5};
  stored.shards.emplace(0, ShardProgress(Position{5}));
  stored.shards.emplace(7, ShardProgress(Position{std::uint64_t{1} << 63}));
  stored.shards[0].finish(Position{9}, Position{12});
  return stored;
}

TEST(Stored, ComesBackAsItWas) {
  Stored stored = example();
  stored.planned =
      Plan{stored.created, 2, {{0, Position{5}, Position{9}}, {7, Position{1}, Position{std::uint64_t{1} << 33}}}};
  const std::string text = write_stored(stored);
  const auto back = read_stored(text);
  ASSERT_TRUE(back);
  EXPECT_EQ(write_stored(*back), text);
  EXPECT_EQ(back->spec.name, "events-to-s3");
  EXPECT_EQ(back->spec.s3.prefix, "räw/");
  EXPECT_EQ(back->spec.s3.delimiter, "\r\n\"");
  EXPECT_EQ(back->spec.s3.size_mib, 7u);
  EXPECT_EQ(back->spec.s3.interval.count(), 0);
  EXPECT_TRUE(back->spec.s3.append_delimiter);
  EXPECT_EQ(back->source_incarnation, 9u);
  EXPECT_EQ(back->active_at, stored.active_at);
  EXPECT_EQ(back->shards.at(7).next(), Position{std::uint64_t{1} << 63});
  EXPECT_EQ(back->shards.at(0).finished(), (Finished{{9, 12}}));
  ASSERT_TRUE(back->planned);
  EXPECT_EQ(back->planned->instant, stored.created);
  EXPECT_EQ(back->planned->ranges, stored.planned->ranges);
  EXPECT_FALSE(read_stored(write_stored(example()))->planned);
}

TEST(Stored, OtherTextIsNotTakenForIt) {
  const std::string text = write_stored(example());
  EXPECT_FALSE(read_stored(""));
  EXPECT_FALSE(read_stored("{}"));
  EXPECT_FALSE(read_stored("[1]"));
  EXPECT_FALSE(read_stored(text.substr(0, text.size() - 1)));
  std::string other = text;
  other.replace(other.find("\"form\":1"), 8, "\"form\":2");
  EXPECT_FALSE(read_stored(other));
}

TEST(ObjectUuid, IsTheSameForTheSameRecordsOnly) {
  const Plan plan{TimePoint{}, 1, {{0, Position{5}, Position{9}}, {1, Position{0}, Position{3}}}};
  EXPECT_EQ(object_uuid(1, plan), object_uuid(1, plan));
  EXPECT_EQ(object_uuid(1, plan).size(), 36u);
  Plan longer = plan, newer = plan, other_shard = plan;
  longer.ranges[0].to = Position{10};
  newer.version = 2;
  other_shard.ranges[1].shard = 2;
  EXPECT_NE(object_uuid(1, plan), object_uuid(1, longer));
  EXPECT_NE(object_uuid(1, plan), object_uuid(1, newer));
  EXPECT_NE(object_uuid(1, plan), object_uuid(1, other_shard));
  EXPECT_NE(object_uuid(1, plan), object_uuid(2, plan))
      << "a re-created delivery stream writes no earlier object again";
}

}  // namespace
}  // namespace millrace::delivery
