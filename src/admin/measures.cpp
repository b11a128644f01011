#include "admin/measures.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <utility>

#include "millrace/services/accounts.hpp"
#include "millrace/streams/subscription.hpp"

namespace millrace::admin {
namespace {

using telemetry::Kind;
using telemetry::Labels;
using telemetry::Sample;

constexpr std::size_t kPage = 1000;

template <class Number>
double number(Number value) {
  return static_cast<double>(value);
}

std::vector<Sample> one(double value) {
  std::vector<Sample> samples;
  samples.push_back({{}, value});
  return samples;
}

Labels labels_of(Labels labels, const Part& part) {
  labels.insert(labels.end(), part.labels.begin(), part.labels.end());
  return labels;
}

template <class Value>
std::vector<Sample> per_part(const Dependencies& dependencies, Value value) {
  std::vector<Sample> samples;
  for (const Part& part : parts_of(dependencies)) samples.push_back({part.labels, number(value(part))});
  return samples;
}

/// A sample for each shard that has `what`, one of its pointers.
template <class What, class Value>
std::vector<Sample> per_shard(const Dependencies& dependencies, What what, Value value) {
  std::vector<Sample> samples;
  for (const Part& part : parts_of(dependencies))
    for (const streams::StreamRef& stream : all_streams(part.streams))
      for (const auto& shard : stream->shards)
        if (const auto& there = (*shard).*what)
          samples.push_back({labels_of({{"stream", stream->name}, {"shard", shard->id}}, part), number(value(*there))});
  return samples;
}

template <class Value>
std::vector<Sample> per_delivery_stream(const Dependencies& dependencies, Value value) {
  std::vector<Sample> samples;
  for (const Part& part : parts_of(dependencies))
    for (const auto& info : all_delivery_streams(part.delivery))
      samples.push_back({labels_of({{"delivery_stream", info->spec.name}}, part), number(value(*info))});
  return samples;
}

std::vector<Sample> per_account(const MemoryBudget& budget) {
  constexpr std::array<std::pair<Account, const char*>, kAccounts> names{{{Account::chunks, "chunks"},
                                                                          {Account::bodies, "bodies"},
                                                                          {Account::replies, "replies"},
                                                                          {Account::delivery, "delivery"},
                                                                          {Account::connections, "connections"}}};
  std::vector<Sample> samples;
  for (const auto& [account, name] : names) samples.push_back({{{"account", name}}, number(budget.used(account))});
  return samples;
}

double cpu_seconds() {
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  const auto seconds = [](const timeval& time) { return number(time.tv_sec) + number(time.tv_usec) * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// The second number of /proc/self/statm is the resident pages. No sample where there is no such file.
std::vector<Sample> resident_bytes(Files& files) {
  auto text = files.read_all("/proc/self/statm", 4096);
  if (!text) return {};
  const std::size_t blank = text->find(' ');
  if (blank == std::string::npos) return {};
  std::uint64_t pages = 0;
  const auto [end, error] = std::from_chars(text->data() + blank + 1, text->data() + text->size(), pages);
  if (error != std::errc()) return {};
  return one(number(pages) * number(::sysconf(_SC_PAGESIZE)));
}

std::vector<Sample> open_descriptors(Files& files) {
  auto names = files.list("/proc/self/fd");
  if (!names || names->empty()) return {};
  return one(number(names->size() - 1));  // one of them was opened to list the others
}

}  // namespace

std::vector<streams::StreamRef> all_streams(const streams::Streams& streams) {
  std::vector<streams::StreamRef> all;
  for (;;) {
    std::vector<streams::StreamRef> page = streams.list(all.empty() ? "" : all.back()->name, kPage);
    const bool last = page.size() < kPage;
    all.insert(all.end(), std::make_move_iterator(page.begin()), std::make_move_iterator(page.end()));
    if (last) return all;
  }
}

std::vector<std::shared_ptr<const delivery::DeliveryStreamInfo>> all_delivery_streams(
    const delivery::Delivery& delivery) {
  std::vector<std::shared_ptr<const delivery::DeliveryStreamInfo>> all;
  for (;;) {
    auto page = delivery.list(all.empty() ? "" : all.back()->spec.name, kPage);
    const bool last = page.size() < kPage;
    all.insert(all.end(), std::make_move_iterator(page.begin()), std::make_move_iterator(page.end()));
    if (last) return all;
  }
}

std::vector<Part> parts_of(const Dependencies& dependencies) {
  std::vector<Part> parts{{dependencies.streams, dependencies.delivery, {}, {}}};
  if (dependencies.others)
    for (services::Environment* other : dependencies.others())
      parts.push_back({other->streams, *other->delivery, other->labels, services::told_prefix(*other)});
  return parts;
}

Measures::Measures(const Dependencies& dependencies) : dependencies_(dependencies), registry_(dependencies.metrics) {
  add_shards();
  add_limits();
  add("millrace_subscriptions", "Consumers' subscriptions to shards under way.", Kind::gauge,
      [this] { return per_part(dependencies_, [](const Part& p) { return p.streams.subscriptions().active(); }); });
  add_delivery();
  add("millrace_apis", "Deployed REST APIs.", Kind::gauge,
      [&gateway = dependencies.gateway] { return one(number(gateway.apis().size())); });
  add_memory(dependencies.budget);
  if (dependencies.storage_status) add_storage(dependencies.storage_status);
  add_process();
}

Measures::~Measures() {
  for (const telemetry::Registry::Id id : ids_) registry_.remove(id);
}

void Measures::add(const char* name, const char* help, Kind kind, std::function<std::vector<Sample>()> collect) {
  ids_.push_back(registry_.add(name, help, kind, std::move(collect)));
}

void Measures::add_shards() {
  add("millrace_streams", "Streams, also those being made or deleted.", Kind::gauge,
      [this] { return per_part(dependencies_, [](const Part& p) { return all_streams(p.streams).size(); }); });
  add("millrace_open_shards", "Open shards of all streams.", Kind::gauge,
      [this] { return per_part(dependencies_, [](const Part& p) { return p.streams.open_shards(); }); });
  const auto add_shard = [&](const char* name, const char* help, Kind kind, auto value) {
    add(name, help, kind, [this, value] {
      return per_shard(dependencies_, &streams::Shard::log, [value](const log::Log& l) { return value(l.progress()); });
    });
  };
  add_shard("millrace_shard_records_total", "Records ever stored in a shard.", Kind::counter,
            [](const log::Progress& p) { return p.records_total; });
  add_shard("millrace_shard_data_bytes_total", "Bytes of data ever stored in a shard.", Kind::counter,
            [](const log::Progress& p) { return p.data_bytes_total; });
  add_shard("millrace_shard_stored_bytes", "Bytes held for a shard's records: heads, keys and data.", Kind::gauge,
            [](const log::Progress& p) { return p.stored_bytes; });
}

void Measures::add_limits() {
  using Limits = streams::ShardLimits;
  const auto add_shard = [&](const char* name, const char* help, auto value) {
    add(name, help, Kind::counter, [this, value] { return per_shard(dependencies_, &streams::Shard::limits, value); });
  };
  add_shard("millrace_shard_write_throughput_exceeded_total", "Records that a shard's limits refused.",
            [](const Limits& limits) { return limits.refused_writes(); });
  add_shard("millrace_shard_read_throughput_exceeded_total", "GetRecords calls that a shard's limits refused.",
            [](const Limits& limits) { return limits.refused_reads(); });
}

void Measures::add_delivery() {
  using Info = delivery::DeliveryStreamInfo;
  const auto add_stream = [&](const char* name, const char* help, Kind kind, auto value) {
    add(name, help, kind, [this, value] { return per_delivery_stream(dependencies_, value); });
  };
  add_stream("millrace_delivery_buffered_bytes", "Bytes acknowledged by the source and not yet delivered.", Kind::gauge,
             [](const Info& i) { return i.buffered_bytes; });
  add_stream("millrace_delivery_objects_total", "Objects written.", Kind::counter,
             [](const Info& i) { return i.objects; });
  add_stream("millrace_delivery_records_total", "Records delivered.", Kind::counter,
             [](const Info& i) { return i.records; });
  add_stream("millrace_delivery_bytes_total", "Bytes delivered.", Kind::counter, [](const Info& i) { return i.bytes; });
  add_stream("millrace_delivery_failures_total", "Writes that failed and are tried again.", Kind::counter,
             [](const Info& i) { return i.failures; });
  add_stream("millrace_delivery_freshness_seconds", "Age of the oldest record not yet delivered.", Kind::gauge,
             [](const Info& i) { return std::chrono::duration<double>(i.freshness).count(); });
}

void Measures::add_memory(const MemoryBudget& budget) {
  add("millrace_memory_bytes", "Bytes held of the memory budget, by what for.", Kind::gauge,
      [&] { return per_account(budget); });
  add("millrace_memory_limit_bytes", "The memory budget (storage.memory_limit).", Kind::gauge,
      [&] { return one(number(budget.bytes_max())); });
  add("millrace_memory_refused_total", "How often the memory budget refused.", Kind::counter,
      [&] { return one(number(budget.refused())); });
}

void Measures::add_storage(const std::function<log::EngineStatus()>& status) {
  const auto add_one = [&](const char* name, const char* help, Kind kind, auto value) {
    add(name, help, kind, [status, value] { return one(number(value(status()))); });
  };
  using Status = log::EngineStatus;
  add_one("millrace_storage_file_bytes", "Bytes on disk of the files that hold records.", Kind::gauge,
          [](const Status& s) { return s.file_bytes; });
  add_one("millrace_storage_full", "1 when records are refused: the disk is full, or storage.disk_limit is reached.",
          Kind::gauge, [](const Status& s) { return s.full ? 1 : 0; });
  add_one("millrace_storage_failing", "1 when the last write of records failed.", Kind::gauge,
          [](const Status& s) { return s.failing ? 1 : 0; });
  add_one("millrace_storage_failed_writes_total", "Writes of records that failed.", Kind::counter,
          [](const Status& s) { return s.failed_writes; });
  add_one("millrace_storage_damaged_reads_total", "Frames of records that were to be read and are damaged.",
          Kind::counter, [](const Status& s) { return s.damaged_reads; });
  add_one("millrace_storage_damage_found", "Damaged places of the log that the start found and went on without.",
          Kind::gauge, [](const Status& s) { return s.damage_found; });
  add_one("millrace_storage_evicted_chunks_total", "Pieces of memory given back as their records are in files.",
          Kind::counter, [](const Status& s) { return s.evicted_chunks; });
  add_one("millrace_storage_file_reads_total", "Pages of records that were read out of files.", Kind::counter,
          [](const Status& s) { return s.file_reads; });
  add_one("millrace_storage_rewritten_bytes_total", "Bytes of records that were moved from one file to another.",
          Kind::counter, [](const Status& s) { return s.rewritten_bytes; });
}

void Measures::add_process() {
  add("millrace_build_info", "Always 1; the version is the label.", Kind::gauge, [] {
    std::vector<Sample> samples;
    samples.push_back({{{"version", MILLRACE_VERSION}}, 1});
    return samples;
  });
  add("process_resident_memory_bytes", "Resident memory.", Kind::gauge, [this] { return resident_bytes(*files_); });
  add("process_cpu_seconds_total", "CPU time used, user and system.", Kind::counter, [] { return one(cpu_seconds()); });
  add("process_open_fds", "Open file descriptors.", Kind::gauge, [this] { return open_descriptors(*files_); });
}

}  // namespace millrace::admin
