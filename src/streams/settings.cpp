#include "millrace/streams/control.hpp"
#include "streams/history.hpp"

namespace millrace::streams {
namespace {

// Changes the settings of an ACTIVE stream, which is UPDATING then.
awaitable<Result<StreamRef>> update(Streams& streams, std::string stream, Streams::Edit edit) {
  const TimePoint now = streams.clock().now();
  const TimePoint settled = now + streams.options().update_delay;
  Streams::Edit whole = [edit = std::move(edit), now, settled](Stream& s) -> std::optional<Error> {
    if (auto refused = check_active(s, now)) return refused;
    if (auto refused = edit(s)) return refused;
    s.created_settled = true;
    s.settled = settled;
    return std::nullopt;
  };
  auto changed = co_await streams.change(std::move(stream), std::move(whole));
  co_return changed;
}

}  // namespace

std::optional<Error> check_active(const Stream& stream, TimePoint now) {
  const Status status = stream.status(now);
  if (status == Status::active) return std::nullopt;
  return Error{Errc::not_active, std::string(status_name(status))};
}

std::string_view mode_name(Mode mode) noexcept { return mode == Mode::on_demand ? "ON_DEMAND" : "PROVISIONED"; }

std::optional<Error> check_warm_throughput(Mode mode, bool committed) {
  if (mode != Mode::on_demand) return Error{Errc::warm_needs_on_demand, {}};
  if (!committed) return Error{Errc::warm_needs_commitment, {}};
  return std::nullopt;
}

awaitable<Result<MetricsChange>> set_metrics(Streams& streams, std::string stream, ShardMetrics metrics, bool on) {
  MetricsChange change;
  Streams::Edit edit = [&change, metrics, on](Stream& s) -> std::optional<Error> {
    Settings& settings = s.settings;
    change.before = settings.metrics;
    change.after = static_cast<ShardMetrics>(on ? settings.metrics | metrics : settings.metrics & ~metrics);
    settings.metrics = change.after;
    return std::nullopt;
  };
  auto changed = co_await update(streams, std::move(stream), std::move(edit));
  if (!changed) co_return changed.error();
  co_return change;
}

awaitable<Result<>> set_mode(Streams& streams, std::string stream, Mode mode, std::optional<std::uint32_t> warm_mibps) {
  const bool committed = streams.account().committed();
  const TimePoint now = streams.clock().now();
  const std::optional<Error> no_more =
      mode == Mode::on_demand && streams.options().limits.enforce ? check_on_demand_streams(streams) : std::nullopt;
  Streams::Edit edit = [mode, warm_mibps, committed, now, no_more](Stream& s) -> std::optional<Error> {
    Settings& settings = s.settings;
    if (mode != settings.mode) {
      if (no_more) return no_more;
      if (auto refused = count_today(s, s.history.modes, kModesADay, now)) return refused;
      begin_mode(s, mode, now);
    }
    if (warm_mibps)
      if (auto refused = check_warm_throughput(mode, committed)) return refused;
    settings.warm_mibps_before = settings.warm_mibps.value_or(0);
    if (warm_mibps || mode == Mode::provisioned) settings.warm_mibps = warm_mibps;
    settings.mode = mode;
    return std::nullopt;
  };
  auto changed = co_await update(streams, std::move(stream), std::move(edit));
  if (!changed) co_return changed.error();
  co_return Result<>{};
}

awaitable<Result<>> set_record_size(Streams& streams, std::string stream, std::uint32_t kib) {
  Streams::Edit edit = [kib](Stream& s) -> std::optional<Error> {
    Settings& settings = s.settings;
    settings.record_kib_max = kib;
    return std::nullopt;
  };
  auto changed = co_await update(streams, std::move(stream), std::move(edit));
  if (!changed) co_return changed.error();
  co_return Result<>{};
}

awaitable<Result<StreamRef>> set_warm_throughput(Streams& streams, std::string stream, std::uint32_t mibps) {
  const bool committed = streams.account().committed();
  Streams::Edit edit = [mibps, committed](Stream& s) -> std::optional<Error> {
    Settings& settings = s.settings;
    if (auto refused = check_warm_throughput(settings.mode, committed)) return refused;
    settings.warm_mibps_before = settings.warm_mibps.value_or(0);
    settings.warm_mibps = mibps;
    return std::nullopt;
  };
  auto changed = co_await update(streams, std::move(stream), std::move(edit));
  co_return changed;
}

awaitable<Result<>> start_encryption(Streams& streams, std::string stream, std::string key_id) {
  if (streams.options().prepare_sealing) {
    const bool ready = co_await streams.options().prepare_sealing();
    if (!ready) co_return Error{Errc::failed, "there is no key to seal records with"};
  }
  Streams::Edit edit = [key_id = std::move(key_id), now = streams.clock().now()](Stream& s) -> std::optional<Error> {
    Settings& settings = s.settings;
    if (auto refused = count_today(s, s.history.encryptions, kEncryptionsADay, now)) return refused;
    settings.key_id = key_id;
    settings.key_until.reset();
    return std::nullopt;
  };
  auto changed = co_await update(streams, std::move(stream), std::move(edit));
  if (!changed) co_return changed.error();
  co_return Result<>{};
}

awaitable<Result<>> stop_encryption(Streams& streams, std::string stream) {
  const TimePoint now = streams.clock().now(), settled = now + streams.options().update_delay;
  Streams::Edit edit = [settled, now](Stream& s) -> std::optional<Error> {
    Settings& settings = s.settings;
    if (auto refused = count_today(s, s.history.encryption_stops, kEncryptionsADay, now)) return refused;
    if (settings.key_id && !settings.key_until) settings.key_until = settled;
    return std::nullopt;
  };
  auto changed = co_await update(streams, std::move(stream), std::move(edit));
  if (!changed) co_return changed.error();
  co_return Result<>{};
}

awaitable<Result<>> set_policy(Streams& streams, std::string stream, std::string policy) {
  const TimePoint now = streams.clock().now();
  Streams::Edit edit = [policy = std::move(policy), now](Stream& s) -> std::optional<Error> {
    if (auto refused = check_active(s, now)) return refused;
    if (policy.empty() && s.settings.policy.empty()) return Error{Errc::no_policy, s.name};
    s.settings.policy = policy;
    return std::nullopt;
  };
  auto changed = co_await streams.change(std::move(stream), std::move(edit));
  if (!changed) co_return changed.error();
  co_return Result<>{};
}

}  // namespace millrace::streams
