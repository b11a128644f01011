#include "support/test_engine.hpp"

#include <gtest/gtest.h>

#include <deque>

#include "support/run.hpp"

// What tests of higher layers rely on beyond the contract.
namespace millrace::test {
namespace {

using namespace std::chrono_literals;

class HeldEngine : public testing::Test {
 protected:
  log::Result<log::Staged> stage(log::Log& log, std::string_view data) {
    builder_.reset(0);
    builder_.begin_batch();
    builder_.add("k", data);
    return log.stage(log.epoch(), builder_.batch());
  }
  log::ReadBatch read(std::uint64_t from = 0) { return *run(io_, log_->read({.from = log::Position{from}})); }
  Started<log::Result<>> await_commit(const log::Ticket& ticket) {
    tickets_.push_back(ticket);
    auto waiting = start(io_, engine_.committed({&tickets_.back(), 1}));
    settle(io_);
    return waiting;
  }

  boost::asio::io_context io_{1};
  ManualClock clock_;
  TestEngine engine_{clock_};
  std::shared_ptr<log::Log> log_ = *run(io_, engine_.create(log::LogId{1}, {}));
  log::BatchBuilder builder_;
  std::deque<log::Ticket> tickets_;
};

TEST_F(HeldEngine, NothingIsReadableBeforeItIsCommitted) {
  const auto staged = stage(*log_, "1");
  EXPECT_FALSE(staged->ticket.committed);
  auto waiting = await_commit(staged->ticket);
  EXPECT_FALSE(waiting.done());
  EXPECT_EQ(read().records, 0u);
  EXPECT_EQ(log_->progress().tip, log::Position{0});
  EXPECT_EQ(engine_.pending(), 1u);
  engine_.commit();
  settle(io_);
  ASSERT_TRUE(waiting.done());
  EXPECT_TRUE(waiting.result().has_value());
  EXPECT_EQ(read().records, 1u);
}

TEST_F(HeldEngine, AnEndIsNotSeenBeforeWhatWasStagedIs) {
  (void)stage(*log_, "1");
  (void)run(io_, log_->end(log_->epoch()));
  auto waiting = start(io_, log_->wait_stored(1 << 20, TimePoint::max(), {}));
  settle(io_);
  EXPECT_FALSE(log_->progress().ended);
  EXPECT_FALSE(waiting.done());
  EXPECT_EQ(stage(*log_, "2").error().code, log::Errc::ended);
  engine_.commit();
  settle(io_);
  EXPECT_TRUE(log_->progress().ended);
  EXPECT_EQ(log_->progress().tip, log::Position{1});
  EXPECT_TRUE(waiting.done());
}

TEST_F(HeldEngine, FailureDropsWhatWasStagedAndAllWhoWaitForIt) {
  (void)stage(*log_, "kept");
  engine_.commit();
  const auto a = stage(*log_, "lost"), b = stage(*log_, "lost too");
  auto first = await_commit(a->ticket), second = await_commit(b->ticket);
  engine_.fail_staged();
  settle(io_);
  ASSERT_TRUE(first.done() && second.done());
  EXPECT_EQ(first.result().error().code, log::Errc::write_failed);
  EXPECT_EQ(second.result().error().code, log::Errc::write_failed);
  EXPECT_EQ(read().records, 1u);

  const auto later = stage(*log_, "new");
  ASSERT_TRUE(later.has_value());
  EXPECT_EQ(later->first.get(), 3 + (std::uint64_t{1} << 32)) << "no position ever names two records";
  engine_.commit();
  const log::ReadBatch batch = read();
  ASSERT_EQ(batch.runs.size(), 2u) << "a run does not go over a jump";
  EXPECT_EQ(batch.runs[1].first, later->first);
  EXPECT_EQ(batch.next, log::Position{later->first.get() + 1});
  EXPECT_EQ(read(1).runs.at(0).first, later->first) << "what was lost is skipped";
}

TEST_F(HeldEngine, FencedHandleIsStaleAndAFreshOneIsNot) {
  const auto pending = stage(*log_, "1");
  engine_.fence(log::LogId{1});
  EXPECT_EQ(stage(*log_, "2").error().code, log::Errc::stale_epoch);
  auto taken = *run(io_, engine_.open(log::LogId{1}));
  EXPECT_NE(taken->epoch(), log_->epoch());
  const auto staged = stage(*taken, "3");
  ASSERT_TRUE(staged.has_value());
  EXPECT_EQ(staged->first, pending->ticket.end);
}

TEST_F(HeldEngine, FullRefusesUntilToldOtherwise) {
  engine_.set_full(true);
  EXPECT_EQ(stage(*log_, "1").error().code, log::Errc::full);
  engine_.set_full(false);
  EXPECT_TRUE(stage(*log_, "1").has_value());
}

TEST_F(HeldEngine, ReadWaitsForTheCommit) {
  auto reading = start(io_, log_->read({.from = log::Position{0}, .wait_until = clock_.now() + 1h}));
  (void)stage(*log_, "1");
  settle(io_);
  EXPECT_FALSE(reading.done());
  engine_.commit(log::LogId{1});
  settle(io_);
  ASSERT_TRUE(reading.done());
  EXPECT_EQ(reading.result()->records, 1u);
}

TEST_F(HeldEngine, EndedIsSaidOnlyWhenAllIsCommitted) {
  (void)stage(*log_, "1");
  EXPECT_EQ(*run(io_, log_->end(log_->epoch())), log::Position{1});
  EXPECT_FALSE(read().ended);
  engine_.commit();
  EXPECT_TRUE(read().ended);
}

}  // namespace
}  // namespace millrace::test
