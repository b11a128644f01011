// Records out of files: a durable engine on the files of journal_files.hpp. What the input changes there begins with
// the second byte; the first says how the engine begins.
#include "cli/stored_records.hpp"

#include <boost/asio/io_context.hpp>

#include "journal_files.hpp"
#include "millrace/base/clock.hpp"
#include "millrace/base/memory_budget.hpp"
#include "millrace/log/engine.hpp"
#include "quiet.hpp"
#include "support/run.hpp"

namespace millrace::fuzz {
namespace {

using journal::Frame;

constexpr std::size_t kMemory = 8u << 20;
constexpr int kPagesMax = 300;

boost::asio::io_context& io() {
  static boost::asio::io_context context{1};
  return context;
}

/// Takes a run apart without trusting it.
void check_run(const log::RecordRun& run, std::uint64_t from, std::uint64_t next) {
  require(run.count > 0 && run.first.get() >= from, "records are those that were asked for");
  require(run.first.get() + run.count <= next, "the next page begins behind them");
  std::string_view left = run.bytes;
  for (std::uint32_t i = 0; i < run.count; ++i) {
    log::RecordHead head;
    require(left.size() >= sizeof head, "a record has a head");
    std::memcpy(&head, left.data(), sizeof head);
    const std::size_t whole = sizeof head + head.key_bytes + head.data_bytes;
    require(left.size() >= whole, "a record is whole");
    log::RecordView record;
    log::read_record(left.data(), record);
    require(record.key.size() == head.key_bytes && record.data.size() == head.data_bytes, "a record is what it says");
    left.remove_prefix(whole);
  }
  require(left.empty(), "nothing lies behind the records");
}

/// The records of a log, page by page; false: something cannot be read.
bool read_all(log::Log& log, std::size_t bytes_max, std::uint64_t& records) {
  log::Position next{0};
  records = 0;
  for (int page = 0; page < kPagesMax; ++page) {
    const auto batch = test::run(io(), log.read({.from = next, .bytes_max = bytes_max}));
    if (!batch) {
      require(batch.error().code != log::Errc::ended && batch.error().code != log::Errc::stopped,
              "a read fails for a reason");
      return false;
    }
    if (batch->records == 0) return true;
    require(batch->next > next, "a reader goes on");
    std::uint64_t from = next.get();
    std::uint32_t counted = 0;
    for (const log::RecordRun& run : batch->runs) {
      check_run(run, from, batch->next.get());
      from = run.first.get() + run.count;
      counted += run.count;
    }
    require(counted == batch->records, "records are counted");
    records += counted;
    next = batch->next;
  }
  return true;
}

/// As the command line reads a payload.
void check_each_record(const Frame& frame, ByteView payload) {
  if (!cli::not_plain(frame).empty()) return;
  std::uint64_t count = 0;
  std::size_t bytes = 0;
  const bool whole = cli::each_record(frame, payload, [&](std::uint64_t position, const log::RecordView& record) {
    require(position == frame.base + count++, "records are numbered");
    require(record.key.data() >= payload.data() &&
                record.data.data() + record.data.size() <= payload.data() + payload.size(),
            "a record lies in its payload");
    bytes += sizeof(log::RecordHead) + record.key.size() + record.data.size();
  });
  require(bytes <= payload.size() && (!whole || (bytes == payload.size() && count == frame.count)),
          "a payload is records, or is not");
}

void live(Files& files, const log::DurableEngineOptions& options, std::size_t bytes_max, bool journal_changed) {
  static FileThreads threads(1);
  static ManualClock clock;
  MemoryBudget budget(kMemory, kMemory / 8);
  std::set<std::uint64_t> ids{77};
  if (const auto scanned = journal::scan_index(files, kDirectory))
    for (const journal::Part& part : scanned->parts)
      if (ids.size() < 16) ids.insert(part.log);

  std::map<std::uint64_t, std::uint64_t> put;
  for (const bool first : {true, false}) {
    auto made = log::make_durable_engine(clock, budget, files, threads, options);
    if (!made) {
      require(!made.error().detail.empty(), "an engine begins, or says why not");
      require(first || journal_changed, "an engine begins again");
      return;
    }
    const std::unique_ptr<log::Engine> engine = std::move(*made);
    for (const std::uint64_t id : ids) {
      auto opened = test::run(io(), engine->open(log::LogId{id}));
      if (!opened && opened.error().code == log::Errc::damaged) {
        require(journal_changed, "a log is opened");
        continue;
      }
      if (!opened) {
        require(first || journal_changed, "what was put is there");
        opened = test::run(io(), engine->create(log::LogId{id}, {}));
      }
      require(static_cast<bool>(opened), "a log is opened, or there is none and it is made");
      log::Log& log = **opened;
      log.set_retention(std::chrono::hours{24 * 365});
      const log::Progress progress = log.progress();
      require(progress.horizon <= progress.tip, "a log begins before it ends");
      std::uint64_t records = 0;
      const bool read = read_all(log, bytes_max, records);
      for (const std::int64_t at : {std::int64_t{0}, std::int64_t{1'050}, INT64_MAX})
        (void)test::run(io(), log.seek(TimePoint{std::chrono::milliseconds{at}}));
      if (!first && !journal_changed) {
        require(read, "all that is not damaged is read");
        const auto batch = test::run(io(), log.read({.from = log::Position{put[id]}, .records_max = 1}));
        require(batch && batch->records == 1 && batch->runs[0].first.get() == put[id], "what was put is read");
      }
      if (!first) continue;
      log::BatchBuilder builder;
      builder.reset(0);
      builder.begin_batch();
      builder.add("key", "data");
      const auto staged = log.stage(log.epoch(), builder.batch());
      require(static_cast<bool>(staged), "a record is put");
      const log::Ticket tickets[] = {staged->ticket};
      require(static_cast<bool>(test::run(io(), engine->committed(tickets))), "a put is committed");
      put[id] = staged->first.get();
      if (!journal_changed) {
        const auto batch = test::run(io(), log.read({.from = staged->first}));
        require(batch && batch->records == 1, "what was put is read at once");
      }
    }
    if (first) engine->forget_unopened();
  }
}

}  // namespace
}  // namespace millrace::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace::fuzz;
  quiet();
  Input input(data, size);
  const std::uint8_t first = input.byte();
  const Journal journal = read_journal(input);
  const auto files = files_of(journal.image);
  (void)millrace::journal::scan(*files, kDirectory,
                                [](const millrace::journal::Frame& frame, millrace::ByteView payload, auto) {
                                  check_each_record(frame, payload);
                                });
  const auto random = millrace::make_seeded_random(5);
  millrace::log::DurableEngineOptions options;
  options.directory = kDirectory;
  options.file_bytes = kFileBytes;
  options.serve_damaged = (first & 1) != 0;
  options.sync = (first & 2) == 0;
  options.keys = &keys();
  options.random = random.get();
  const std::size_t bytes_max = (first & 4) != 0 ? 1 : (first & 8) != 0 ? 100 : 10u << 20;
  live(*files, options, bytes_max, journal.repaired || journal.image != journal.before);
  return 0;
}
