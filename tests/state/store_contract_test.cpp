#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "millrace/state/scoped.hpp"
#include "millrace/state/store.hpp"
#include "support/run.hpp"

namespace millrace::state {
namespace {

/// A store and what it stands on.
struct Made {
  std::unique_ptr<MemoryFiles> files = {};
  std::unique_ptr<ManualClock> clock = {};
  std::unique_ptr<Store> whole = {}, store = {};
};
Made in_memory() { return {.store = make_memory_store()}; }
Made on_a_journal() {
  Made made{make_memory_files(), std::make_unique<ManualClock>()};
  auto store = make_journal_store(*made.files, *made.clock, {.directory = "data/state"});
  EXPECT_TRUE(store) << store.error().detail;
  made.store = std::move(store->store);
  return made;
}

/// One of two under the same store.
Made scoped() {
  Made made = in_memory();
  made.whole = std::move(made.store);
  (void)test::run(made.whole->put("a", "of nobody"));
  (void)test::run(made.whole->put("here/", "of nobody"));
  (void)test::run(made.whole->put("there/a", "of the other"));
  made.store = make_scoped_store(*made.whole, "here/b/");
  return made;
}

/// A form of the store; every form runs every case.
struct Form {
  std::string name;
  std::function<Made()> make;
};
void PrintTo(const Form& form, std::ostream* out) { *out << form.name; }

class StoreContract : public ::testing::TestWithParam<Form> {
 protected:
  Revision put(const std::string& key, const std::string& value, std::optional<Revision> expected = std::nullopt) {
    auto revision = test::run(store_->put(key, value, expected));
    EXPECT_TRUE(revision) << revision.error().detail;
    return revision ? *revision : Revision{0};
  }
  std::optional<Entry> get(const std::string& key) { return test::run(store_->get(key)).value(); }
  std::vector<std::string> keys(const std::string& prefix) {
    std::vector<std::string> listed;
    for (const Entry& entry : test::run(store_->list(prefix)).value()) listed.push_back(entry.key + "=" + entry.value);
    return listed;
  }
  template <class R>
  static Errc code(const R& result) {
    return result ? Errc{} : result.error().code;
  }

  Made made_ = GetParam().make();
  Store* const store_ = made_.store.get();
};

TEST_P(StoreContract, GetGivesWhatWasPutLastWithItsRevision) {
  EXPECT_FALSE(get("a"));
  const Revision first = put("a", "1");
  const Revision second = put("a", "2");
  EXPECT_GT(first, Revision{0});
  EXPECT_GT(second, first);
  const auto entry = get("a");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->key, "a");
  EXPECT_EQ(entry->value, "2");
  EXPECT_EQ(entry->revision, second);
}

TEST_P(StoreContract, ValuesAreBytesOfAnyKind) {
  const std::string value("a\0\xff\n", 4);
  put("k", value);
  EXPECT_EQ(get("k")->value, value);
  put("k", "");
  EXPECT_EQ(get("k")->value, "");
}

TEST_P(StoreContract, ListGivesAPrefixInOrderOfKey) {
  put("streams/b", "2");
  put("streams/a", "1");
  put("streams", "0");
  put("streamt", "9");
  put("delivery/a", "3");
  EXPECT_EQ(keys("streams/"), (std::vector<std::string>{"streams/a=1", "streams/b=2"}));
  EXPECT_EQ(keys("").size(), 5u);
  EXPECT_EQ(keys("x"), std::vector<std::string>{});
}

TEST_P(StoreContract, PutWithAnExpectedRevisionWinsOnlyOnce) {
  const Revision first = put("a", "1", Revision{0});
  EXPECT_EQ(code(test::run(store_->put("a", "x", Revision{0}))), Errc::conflict);
  put("a", "2", first);
  EXPECT_EQ(code(test::run(store_->put("a", "x", first))), Errc::conflict);
  EXPECT_EQ(code(test::run(store_->put("none", "x", first))), Errc::conflict);
  EXPECT_EQ(get("a")->value, "2");
  EXPECT_FALSE(get("none"));
}

TEST_P(StoreContract, RemoveTakesTheKeyAndHonoursTheExpectedRevision) {
  const Revision first = put("a", "1");
  const Revision second = put("a", "2");
  EXPECT_EQ(code(test::run(store_->remove("a", first))), Errc::conflict);
  EXPECT_TRUE(get("a"));
  EXPECT_TRUE(test::run(store_->remove("a", second)));
  EXPECT_FALSE(get("a"));
  EXPECT_EQ(code(test::run(store_->remove("a"))), Errc::not_found);
  EXPECT_EQ(code(test::run(store_->remove("a", second))), Errc::not_found);
  EXPECT_GT(put("a", "3", Revision{0}), second) << "a key made again has a new revision";
}

TEST_P(StoreContract, NumbersCountFromOneForEachName) {
  EXPECT_EQ(*test::run(store_->next_number("stream")), 1u);
  EXPECT_EQ(*test::run(store_->next_number("stream")), 2u);
  EXPECT_EQ(*test::run(store_->next_number("log")), 1u);
}

TEST_P(StoreContract, ClearForgetsKeysAndKeepsNumbers) {
  put("a", "1");
  const Revision last = put("b", "2");
  ASSERT_EQ(*test::run(store_->next_number("log")), 1u);
  ASSERT_TRUE(test::run(store_->clear()));
  EXPECT_EQ(keys(""), std::vector<std::string>{});
  EXPECT_EQ(*test::run(store_->next_number("log")), 2u);
  EXPECT_GT(put("a", "again", Revision{0}), last);
}

TEST_P(StoreContract, WatchersSeeEachChangeUnderTheirPrefixBeforeItReturns) {
  put("a/old", "0");
  std::vector<std::string> seen;
  Revision last{0};
  const auto note = [&](const Change& change) {
    seen.push_back(change.key + (change.value ? "=" + *change.value : " removed"));
    EXPECT_GT(change.revision, last);
    last = change.revision;
  };
  const Store::WatchId id = store_->watch("a/", note);
  EXPECT_EQ(seen, std::vector<std::string>{}) << "only what changes from now on";
  EXPECT_EQ(put("a/x", "1"), last);
  put("b/x", "1");
  EXPECT_FALSE(test::run(store_->put("a/x", "2", Revision{0})));
  EXPECT_TRUE(test::run(store_->remove("a/x")));
  EXPECT_EQ(seen, (std::vector<std::string>{"a/x=1", "a/x removed"}));
  EXPECT_TRUE(test::run(store_->clear()));
  EXPECT_EQ(seen.back(), "a/old removed");
  store_->unwatch(id);
  store_->unwatch(id);
  put("a/x", "3");
  EXPECT_EQ(seen.size(), 3u);
}

awaitable<int> count_up(Store& store, int times) {
  int retries = 0;
  for (int done = 0; done < times;) {
    auto entry = co_await store.get("counter");
    const std::uint64_t value = entry.value() ? std::stoull((*entry)->value) : 0;
    const Revision expected = entry.value() ? (*entry)->revision : Revision{0};
    auto changed = co_await store.put("counter", std::to_string(value + 1), expected);
    if (changed) {
      ++done;
    } else {
      ++retries;
    }
  }
  co_return retries;
}

TEST_P(StoreContract, CompareAndSwapOfManyThreadsLosesNoChangeAndWatchersSeeOrder) {
  constexpr int kThreads = 4, kTimes = 200;
  std::vector<Revision> revisions;  // written by the callbacks only, which the store runs one after the other
  store_->watch("counter", [&](const Change& change) { revisions.push_back(change.revision); });
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this] { test::run(count_up(*store_, kTimes)); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(get("counter")->value, std::to_string(kThreads * kTimes));
  EXPECT_EQ(revisions.size(), std::size_t{kThreads * kTimes});
  EXPECT_TRUE(std::is_sorted(revisions.begin(), revisions.end()));
}

TEST(ScopedStore, SharesNumbersAndNothingElse) {
  const auto whole = make_memory_store();
  const auto one = make_scoped_store(*whole, "one/"), two = make_scoped_store(*whole, "two/");
  EXPECT_EQ(test::run(one->next_number("n")).value(), 1u);
  EXPECT_EQ(test::run(two->next_number("n")).value(), 2u);
  ASSERT_TRUE(test::run(one->put("a", "1")));
  ASSERT_TRUE(test::run(two->put("a", "2")));
  EXPECT_EQ(test::run(one->get("a")).value()->value, "1");
  EXPECT_EQ(test::run(one->get("a")).value()->key, "a");
  EXPECT_EQ(test::run(whole->get("two/a")).value()->value, "2");
  ASSERT_TRUE(test::run(one->clear()));
  EXPECT_EQ(test::run(whole->list("")).value().size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(Forms, StoreContract,
                         ::testing::Values(Form{"memory", in_memory}, Form{"journal", on_a_journal},
                                           Form{"scoped", scoped}),
                         [](const auto& form) { return form.param.name; });

}  // namespace
}  // namespace millrace::state
