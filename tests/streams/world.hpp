#pragma once
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <memory>

#include "millrace/log/engine.hpp"
#include "millrace/state/store.hpp"
#include "millrace/streams/streams.hpp"

namespace millrace::streams {

/// What streams are made on, in memory and by a manual clock.
struct World : testing::Test {
  explicit World(std::size_t memory = 256u << 20) : budget(memory) {}

  ManualClock clock;
  MemoryBudget budget;
  std::unique_ptr<Random> random = make_seeded_random(1);
  std::unique_ptr<state::Store> store = state::make_memory_store();
  std::unique_ptr<log::Engine> engine = log::make_memory_engine(clock, budget);
  boost::asio::io_context context{1};
};

}  // namespace millrace::streams
