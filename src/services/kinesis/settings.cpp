#include "services/kinesis/settings.hpp"

#include <algorithm>

namespace millrace::services::kinesis {
namespace {

bool is_hex(char c) noexcept { return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); }

// 8-4-4-4-12 hexadecimal digits, or `mrk-` and 32.
bool is_key(std::string_view text) noexcept {
  if (text.starts_with("mrk-")) return text.size() == 36 && std::all_of(text.begin() + 4, text.end(), is_hex);
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !is_hex(text[i])) return false;
  }
  return true;
}

bool is_alias(std::string_view text) noexcept {
  constexpr std::string_view kStart = "alias/";
  const auto allowed = [](char c) {
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '/' || c == '_' || c == '-';
  };
  return text.starts_with(kStart) && text.size() > kStart.size() &&
         std::all_of(text.begin() + kStart.size(), text.end(), allowed);
}

// arn:aws:kms:us-east-1:123456789012:key/... or :alias/...
std::optional<std::string_view> kms_resource(std::string_view arn) noexcept {
  if (!arn.starts_with("arn:aws")) return std::nullopt;
  std::string_view parts[6];
  std::size_t at = 0;
  for (std::size_t i = 0; i < 5; ++i) {
    const std::size_t colon = arn.find(':', at);
    if (colon == arn.npos) return std::nullopt;
    parts[i] = arn.substr(at, colon - at);
    at = colon + 1;
  }
  const std::string_view account = parts[4];
  if (parts[2] != "kms" || parts[3].empty() || account.size() != 12 ||
      !std::all_of(account.begin(), account.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return std::nullopt;
  return arn.substr(at);
}

// Of a key or an alias, as it is or as an ARN.
bool names_a_key(std::string_view id) noexcept {
  if (is_key(id) || is_alias(id)) return true;
  const std::optional<std::string_view> resource = kms_resource(id);
  return resource && (is_alias(*resource) || (resource->starts_with("key/") && is_key(resource->substr(4))));
}

}  // namespace

std::optional<ServiceError> check_warm_throughput_bounds(std::int32_t mibps) {
  if (static_cast<std::uint32_t>(mibps) <= streams::kWarmMibpsMax) return std::nullopt;
  return invalid_argument("WarmThroughputMiBps must not be larger than " + std::to_string(streams::kWarmMibpsMax) +
                          ". Specified value was " + std::to_string(mibps) + ".");
}

std::optional<WarmThroughputOutput> warm_throughput_output(const streams::Stream& stream, TimePoint now) {
  const streams::Settings& settings = stream.settings;
  if (!settings.warm_mibps) return std::nullopt;
  const bool active = stream.status(now) == streams::Status::active;
  return WarmThroughputOutput{static_cast<std::int32_t>(*settings.warm_mibps),
                              static_cast<std::int32_t>(active ? *settings.warm_mibps : settings.warm_mibps_before)};
}

SettingsOutput settings_output(const streams::Stream& stream, TimePoint now) {
  SettingsOutput out;
  out.mode.mode = streams::mode_name(stream.settings.mode);
  out.monitoring.push_back({metric_names(stream.settings.metrics)});
  if (stream.settings.encrypts(now)) {
    out.encryption = "KMS";
    out.key_id = stream.settings.key_id;
  }
  return out;
}

std::vector<std::string> metric_names(streams::ShardMetrics metrics) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < streams::kShardMetrics.size(); ++i)
    if (metrics >> i & 1) names.emplace_back(streams::kShardMetrics[i]);
  return names;
}

awaitable<Outcome<MonitoringOutput>> change_monitoring(Context& context, MonitoringInput in, bool on) {
  const Environment& environment = context.environment;
  const auto call = on ? streams::Call::enable_enhanced_monitoring : streams::Call::disable_enhanced_monitoring;
  const Outcome<streams::StreamRef> stream = find_stream(context, in.stream, call);
  if (!stream) co_return stream.error();
  streams::ShardMetrics metrics = 0;
  for (const std::string& name : in.metrics) {
    const auto at = std::find(streams::kShardMetrics.begin(), streams::kShardMetrics.end(), name);
    metrics = static_cast<streams::ShardMetrics>(
        metrics |
        (at == streams::kShardMetrics.end() ? streams::kAllShardMetrics : 1u << (at - streams::kShardMetrics.begin())));
  }
  const std::string name = (*stream)->name;
  auto changed = co_await streams::set_metrics(environment.streams, name, metrics, on);
  if (!changed) co_return to_service_error(changed.error(), environment, {.stream = name});
  co_return MonitoringOutput{name, metric_names(changed->before), metric_names(changed->after),
                             stream_arn(environment, name)};
}

Outcome<streams::StreamRef> check_encryption(Context& context, const EncryptionInput& in) {
  Outcome<streams::StreamRef> stream = find_stream(context, in.stream);
  if (!stream) return stream;
  if (in.type != "KMS") return invalid_argument("EncryptionType must be KMS. Specified value was " + in.type + ".");
  if (!names_a_key(in.key_id)) return ServiceError{"KMSNotFoundException", 400, "Invalid keyId '" + in.key_id + "'"};
  return stream;
}

CommitmentOutput commitment_output(const streams::Commitment& commitment, TimePoint now) {
  CommitmentOutput out;
  out.started = commitment.started;
  if (!commitment.on(now)) {
    out.status = "DISABLED";
    out.ended = commitment.end;
  } else {
    out.status = commitment.end ? "ENABLED_UNTIL_EARLIEST_ALLOWED_END" : "ENABLED";
    out.earliest_end = *commitment.started + streams::Commitment::kLeast;
  }
  return out;
}

}  // namespace millrace::services::kinesis
