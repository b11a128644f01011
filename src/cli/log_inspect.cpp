#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/log_commands.hpp"
#include "cli/text.hpp"
#include "millrace/base/utc_text.hpp"
#include "millrace/journal/inspect.hpp"

namespace millrace::cli {

namespace {

using journal::FileReport;
using journal::Part;
using json = nlohmann::ordered_json;

struct Epoch {
  std::uint64_t epoch, first, last, records;
};
/// All that the files hold of one log.
struct LogSummary {
  std::vector<Epoch> epochs;
  std::uint64_t records = 0, bytes = 0;
  std::int64_t first_ms = 0, last_ms = 0;  // arrival of the first and the last record

  std::uint64_t first() const { return epochs.front().first; }
  std::uint64_t last() const { return epochs.back().last; }
};
using Summaries = std::map<std::uint64_t, LogSummary>;

Summaries summaries(std::vector<Part> parts) {
  std::sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.base < b.base; });
  Summaries logs;
  for (const Part& part : parts) {
    LogSummary& log = logs[part.log];
    if (log.epochs.empty()) log.first_ms = part.first_ms;
    if (log.epochs.empty() || log.epochs.back().epoch != part.epoch)
      log.epochs.push_back({part.epoch, part.base, part.base, 0});
    Epoch& epoch = log.epochs.back();
    epoch.last = part.base + part.count - 1;
    epoch.records += part.count;
    log.records += part.count;
    log.bytes += part.bytes;
    log.last_ms = part.last_ms;
  }
  return logs;
}

/// Everything that is told, in both forms.
struct Inspected {
  const LogDirectory& directory;
  journal::Report log, state;
  Summaries logs;
  Owners owners;

  Summaries orphans() const {
    Summaries out;
    for (const auto& [id, log_summary] : logs)
      if (!owners.owner(id)) out.emplace(id, log_summary);
    return out;
  }
};

const char* state_name(FileReport::State state) {
  switch (state) {
    case FileReport::State::open:
      return "open";
    case FileReport::State::full:
      return "full";
    case FileReport::State::unreadable:
      return "unreadable";
  }
  return "";
}

std::string state_text(const FileReport& file) {
  if (file.state == FileReport::State::unreadable) return "unreadable: " + file.trouble;
  std::string text = file.closed ? "closed" : state_name(file.state);
  return file.damaged ? text + ", damaged" : text;
}

TimePoint at_ms(std::int64_t ms) { return TimePoint{std::chrono::milliseconds{ms}}; }
std::string time_or_dash(std::int64_t ms, bool known) { return known ? utc_text(at_ms(ms)) : "-"; }

// ---- for a person

std::string heading(const std::string& name, const journal::Report& report) {
  std::uint64_t bytes = 0;
  for (const FileReport& file : report.files) bytes += file.bytes;
  std::string text = name + ": " + counted(report.files.size(), "file", "files") + ", " + sized(bytes);
  if (report.spare_files)
    text += "; " + counted(report.spare_files, "file", "files") + " kept for reuse, " + sized(report.spare_bytes);
  return text + "\n";
}

/// Keys that are needed for all of it and are not there.
std::set<std::uint32_t> missing_keys(const LogDirectory& directory, const journal::Report& report) {
  std::set<std::uint32_t> missing;
  for (const FileReport& file : report.files)
    for (const std::uint32_t id : file.key_ids)
      if (!directory.keys.key(id)) missing.insert(id);
  return missing;
}

void tell_troubles(const Inspected& all, const journal::Report& report, Output& out) {
  const auto missing = missing_keys(all.directory, report);
  if (!missing.empty()) out << "  sealed: to read it, " << keys_needed(missing);
  for (const std::filesystem::path& gone : report.gone) out << "  " << gone.string() << " was dropped meanwhile\n";
  if (report.scanned.cut_bytes)
    out << "  " << counted(report.scanned.cut_bytes, "byte", "bytes")
        << (all.directory.running ? " behind the end are being written\n"
                                  : " behind the end count for nothing: their write did not end\n");
  for (const journal::Damage& damage : report.scanned.damage)
    out << "  " << damage.file.string() << ": offset " << std::to_string(damage.offset) << ", "
        << counted(damage.bytes, "byte", "bytes") << ": damaged; `millrace log verify` tells more\n";
}

void tell_log_files(const Inspected& all, Output& out) {
  out << heading("Log journal", all.log);
  Table table({"FILE", "SIZE", "STATE", "COMMITS", "FRAMES", "RECORDS", "BYTES", "FIRST ARRIVAL", "LAST ARRIVAL"});
  for (const FileReport& file : all.log.files) {
    const bool counts = file.records > 0;
    table.add({file.path.filename().string(), sized(file.bytes), state_text(file), grouped(file.commits),
               grouped(file.frames), grouped(file.records), sized(file.payload_bytes),
               time_or_dash(file.first_ms, counts), time_or_dash(file.last_ms, counts)});
  }
  if (!table.empty()) out << table.text("  ");
  tell_troubles(all, all.log, out);
}

void tell_state_files(const Inspected& all, Output& out) {
  out << heading("State journal", all.state);
  Table table({"FILE", "SIZE", "STATE", "COMMITS", "FRAMES", "FIRST COMMIT", "LAST COMMIT"});
  for (const FileReport& file : all.state.files) {
    const bool counts = file.commits > 0;
    table.add({file.path.filename().string(), sized(file.bytes), state_text(file), grouped(file.commits),
               grouped(file.frames), time_or_dash(file.first_commit_ms, counts),
               time_or_dash(file.last_commit_ms, counts)});
  }
  if (!table.empty()) out << table.text("  ");
  tell_troubles(all, all.state, out);
  for (const std::string& damage : all.owners.damage()) out << "  " << damage << "\n";
}

std::string epochs_text(const LogSummary& log) {
  constexpr std::size_t kShown = 3;
  if (log.epochs.size() > kShown) return std::to_string(log.epochs.size()) + " epochs";
  std::string text;
  for (const Epoch& epoch : log.epochs) text += (text.empty() ? "" : ", ") + std::to_string(epoch.epoch);
  return text;
}

std::vector<std::string> row_of(const std::string& name, std::uint64_t id, const LogSummary* log) {
  if (!log) return {name, std::to_string(id), "-", "0", "-", "-", "-", "-", "-"};
  return {name,
          std::to_string(id),
          epochs_text(*log),
          grouped(log->records),
          sized(log->bytes),
          std::to_string(log->first()),
          std::to_string(log->last()),
          utc_text(at_ms(log->first_ms)),
          utc_text(at_ms(log->last_ms))};
}

const std::vector<std::string> kLogHead{"SHARD",          "LOG",           "EPOCHS",        "RECORDS",     "BYTES",
                                        "FIRST POSITION", "LAST POSITION", "FIRST ARRIVAL", "LAST ARRIVAL"};

void tell_streams(const Inspected& all, Output& out) {
  for (const streams::Stream& stream : all.owners.streams()) {
    out << "\nStream " << stream.name << (stream.deleting ? ", which is being deleted\n" : "\n");
    Table table(kLogHead);
    for (const auto& shard : stream.shards) {
      const std::uint64_t id = streams::log_id(stream.incarnation, shard->index).get();
      const auto found = all.logs.find(id);
      const LogSummary* const log = found == all.logs.end() ? nullptr : &found->second;
      table.add(row_of(shard->id, id, log));
      if (!log) continue;
      table.add_below("from " + shard->numbers.text(log::Position{log->first()}, log->first_ms));
      table.add_below("to   " + shard->numbers.text(log::Position{log->last()}, log->last_ms));
    }
    out << table.text("  ");
  }
  const Summaries orphans = all.orphans();
  if (orphans.empty()) return;
  out << (all.owners.trouble() ? "\nOf streams that cannot be told\n"
                               : "\nOf no stream: the daemon drops it with the files, or at its next start\n");
  Table table(kLogHead);
  for (const auto& [id, log] : orphans) table.add(row_of("-", id, &log));
  out << table.text("  ");
}

// ---- for a program

json time_or_null(std::int64_t ms, bool known) { return known ? json(utc_text(at_ms(ms))) : json(nullptr); }

json json_of(const journal::Report& report) {
  json files = json::array();
  for (const FileReport& file : report.files)
    files.push_back({{"name", file.path.filename().string()},
                     {"generation", file.generation.get()},
                     {"bytes", file.bytes},
                     {"state", state_name(file.state)},
                     {"trouble", file.trouble.empty() ? json(nullptr) : json(file.trouble)},
                     {"closed", file.closed},
                     {"keyIds", file.key_ids},
                     {"damaged", file.damaged},
                     {"end", file.end},
                     {"commits", file.commits},
                     {"frames", file.frames},
                     {"records", file.records},
                     {"payloadBytes", file.payload_bytes},
                     {"firstArrival", time_or_null(file.first_ms, file.records > 0)},
                     {"lastArrival", time_or_null(file.last_ms, file.records > 0)},
                     {"firstCommit", time_or_null(file.first_commit_ms, file.commits > 0)},
                     {"lastCommit", time_or_null(file.last_commit_ms, file.commits > 0)}});
  json damage = json::array(), gone = json::array();
  for (const journal::Damage& one : report.scanned.damage)
    damage.push_back({{"file", one.file.string()}, {"offset", one.offset}, {"bytes", one.bytes}, {"hides", one.hides}});
  for (const std::filesystem::path& path : report.gone) gone.push_back(path.string());
  return {{"files", std::move(files)},
          {"spareFiles", report.spare_files},
          {"spareBytes", report.spare_bytes},
          {"unfinishedBytes", report.scanned.cut_bytes},
          {"damage", std::move(damage)},
          {"droppedMeanwhile", std::move(gone)},
          {"error", report.error ? json(report.error->detail) : json(nullptr)}};
}

json json_of(std::uint64_t id, const LogSummary* log) {
  json epochs = json::array();
  if (log)
    for (const Epoch& epoch : log->epochs)
      epochs.push_back({{"epoch", epoch.epoch},
                        {"firstPosition", epoch.first},
                        {"lastPosition", epoch.last},
                        {"records", epoch.records}});
  return {{"log", id},
          {"records", log ? log->records : 0},
          {"bytes", log ? log->bytes : 0},
          {"epochs", std::move(epochs)},
          {"firstArrival", time_or_null(log ? log->first_ms : 0, log)},
          {"lastArrival", time_or_null(log ? log->last_ms : 0, log)}};
}

json json_of(const Inspected& all) {
  json streams = json::array(), orphans = json::array();
  for (const streams::Stream& stream : all.owners.streams()) {
    json shards = json::array();
    for (const auto& shard : stream.shards) {
      const std::uint64_t id = streams::log_id(stream.incarnation, shard->index).get();
      const auto found = all.logs.find(id);
      const LogSummary* const log = found == all.logs.end() ? nullptr : &found->second;
      json one{{"shardId", shard->id}};
      one.update(json_of(id, log));
      one["firstSequenceNumber"] =
          log ? json(shard->numbers.text(log::Position{log->first()}, log->first_ms)) : json(nullptr);
      one["lastSequenceNumber"] =
          log ? json(shard->numbers.text(log::Position{log->last()}, log->last_ms)) : json(nullptr);
      shards.push_back(std::move(one));
    }
    streams.push_back({{"name", stream.name}, {"deleting", stream.deleting}, {"shards", std::move(shards)}});
  }
  for (const auto& [id, log] : all.orphans()) orphans.push_back(json_of(id, &log));
  json state = json_of(all.state);
  for (const std::string& damage : all.owners.damage()) state["damage"].push_back({{"hides", damage}});
  return {{"dataDir", all.directory.path.string()},
          {"running", all.directory.running},
          {"log", json_of(all.log)},
          {"state", std::move(state)},
          {"streams", std::move(streams)},
          {"unreferenced", std::move(orphans)}};
}

}  // namespace

int log_inspect(const LogDirectory& directory, bool as_json, Output& out, Output& err) {
  // The state after the records: whose stream is not there then has been deleted.
  journal::Report log;
  if (directory.has_log) log = journal::inspect(directory.files, directory.log());
  journal::Report state;
  if (directory.has_state) state = journal::inspect(directory.files, directory.state());
  Summaries logs = summaries(log.scanned.parts);
  Inspected all{directory, std::move(log), std::move(state), std::move(logs), Owners::of(directory)};

  if (as_json) {
    out << json_of(all).dump(2, ' ', false, json::error_handler_t::replace) << "\n";
  } else {
    out << directory.path.string() << (directory.running ? ": a daemon is running on it\n" : ": no daemon is seen\n");
    tell_log_files(all, out);
    tell_state_files(all, out);
    tell_streams(all, out);
  }
  bool readable = true;
  const auto cannot = [&](const std::string& what, const std::string& why) {
    out.flush();
    err << "millrace: " << what << " cannot be told: " << why << "\n";
    readable = false;
  };
  if (all.log.error) cannot("what the log journal holds", all.log.error->detail);
  if (all.owners.trouble()) cannot("which streams there are", *all.owners.trouble());
  return readable ? 0 : kUnreadable;
}

}  // namespace millrace::cli
