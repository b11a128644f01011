#include "delivery/world.hpp"

namespace millrace::delivery {
namespace {

/// Loses its power at random calls of files, of objects and of the state alike.
class Crashes : public testing::Test {
 protected:
  explicit Crashes() {
    world.become_durable();
    world.create_stream("events", kShards);
    DeliveryStreamSpec wanted = World::spec("F", "events", 1, 60s);
    wanted.s3.append_delimiter = true;
    EXPECT_TRUE(world.run(world.delivery->create(wanted)));
  }

  void put_some() {
    for (std::uint64_t n = random->next() % 40; n > 0; --n) {
      const std::string data = std::to_string(acknowledged++) + std::string(random->next() % 3'000, '.');
      world.put(data, static_cast<std::uint32_t>(random->next() % kShards));
    }
  }
  /// Delivers all there is, unless the power goes before. True when it did.
  bool delivers_or_dies(std::uint64_t calls_left) {
    auto left = std::make_shared<std::atomic<std::int64_t>>(static_cast<std::int64_t>(calls_left));
    world.files->on_change([left](std::string_view, const fs::path&) { return left->fetch_sub(1) > 0 ? 0 : EIO; });
    auto flushed = test::start(world.io(), world.delivery->flush(std::chrono::steady_clock::now() + test::kPatience));
    test::run_until(world.io(), [&] { return flushed.done() || *left < 0; });
    const bool died = *left < 0;
    world.lose_power(*random);
    if (!flushed.done()) test::run_until(world.io(), [&] { return flushed.done(); });
    return died;
  }
  /// How often each record is in an object.
  std::map<int, int> delivered() {
    std::map<int, int> found;
    for (const auto& [name, content] : world.objects())
      for (std::size_t at = 0; at < content.size(); at = content.find('\n', at) + 1)
        ++found[std::stoi(content.substr(at, 10))];
    return found;
  }

  static constexpr std::uint32_t kShards = 3;
  World world;
  const std::uint64_t seed = static_cast<std::uint64_t>(testing::UnitTest::GetInstance()->random_seed());
  std::unique_ptr<Random> random = make_seeded_random(seed);
  int acknowledged = 0;
};

TEST_F(Crashes, LoseNoRecordAndDeliverNoneTwice) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  int died = 0;
  for (int life = 0; life < 80 && !HasFailure(); ++life) {
    put_some();
    world.clock.advance(std::chrono::minutes(random->next() % 40));
    died += delivers_or_dies(random->next() % 60);
    for (const auto& [record, times] : delivered()) EXPECT_EQ(times, 1) << record;
  }
  EXPECT_GT(died, 10);
  put_some();
  EXPECT_TRUE(world.flush().empty());
  const auto found = delivered();
  EXPECT_EQ(found.size(), static_cast<std::size_t>(acknowledged));
  for (const auto& [record, times] : found) EXPECT_EQ(times, 1) << record;
  EXPECT_EQ(world.delivery->undelivered_records(), 0u);
}

}  // namespace
}  // namespace millrace::delivery
