#include "config/table.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/ip/address.hpp>
#include <cctype>
#include <charconv>

#include "millrace/base/nearest.hpp"
#include "millrace/base/printable.hpp"
#include "millrace/config/encryption_keys.hpp"
#include "millrace/services/accounts.hpp"

namespace millrace::config {
namespace {

using std::string_view_literals::operator""sv;

constexpr std::uint64_t kMiB = 1u << 20;
constexpr std::uint64_t kTiB = 1ull << 40;
constexpr std::uint64_t kMinute = 60'000;
constexpr std::array kStorageModes{"memory"sv, "durable"sv};
constexpr std::array kStorageSyncs{"always"sv, "os"sv};
constexpr std::array kOnDamage{"refuse"sv, "serve"sv};
constexpr std::array kEncryptions{"none"sv, "all"sv};
constexpr std::array kAuthModes{"verify"sv, "presence"sv, "ignore"sv};
constexpr std::array kLogLevels{"debug"sv, "info"sv, "warn"sv, "error"sv};
constexpr std::array kLogFormats{"auto"sv, "text"sv, "json"sv};

constexpr Key kKeys[] = {
    {.path = "listen.aws",
     .kind = Kind::address,
     .target = &Config::listen_aws,
     .sentence =
         "Where the AWS service APIs and the operator's pages under `/_millrace/` answer. `localhost` means 127.0.0.1 "
         "and ::1, a literal address binds only itself, port 0 takes a free one (the ready line names it)."},
    {.path = "listen.gateway",
     .kind = Kind::address,
     .target = &Config::listen_gateway,
     .sentence = "Where deployed REST APIs answer as `/{stage}/{resource...}`; written as `listen.aws`."},
    {.path = "region",
     .kind = Kind::region,
     .target = &Config::region,
     .sentence = "The region in ARNs. Requests signed for any region are served, unless signatures are verified."},
    {.path = "account_id",
     .kind = Kind::account,
     .target = &Config::account_id,
     .sentence = "The account in ARNs and messages: twelve digits."},
    {.path = "multi_account",
     .kind = Kind::boolean,
     .target = &Config::multi_account,
     .sentence =
         "Whether credentials have accounts: each account, and each region that requests are signed for, has streams "
         "of its own. What is declared here, and the APIs, are of `account_id` and `region`. "
         "[More](auth.md#several-accounts)."},
    {.path = "data_dir",
     .kind = Kind::path,
     .target = &Config::data_dir,
     .sentence = "Where data lies, relative to the working directory; objects are under `s3/<bucket>/` in it."},
    {.path = "storage.mode",
     .kind = Kind::choice,
     .target = &Config::storage_mode,
     .sentence =
         "`memory`: streams and their records live until the daemon stops; delivered objects stay on disk. "
         "`durable`: what was acknowledged is kept under `data_dir`, as `storage.sync` says; the next start goes "
         "on with it.",
     .choices = kStorageModes},
    {.path = "storage.sync",
     .kind = Kind::choice,
     .target = &Config::storage_sync,
     .sentence =
         "Only where `storage.mode` is `durable`. `always`: records are on the disk before a put is answered, and "
         "survive the end of the machine; `os`: they are the operating system's, and survive the end of the "
         "process. Streams, delivery streams and checkpoints are on the disk with both.",
     .choices = kStorageSyncs},
    {.path = "storage.memory_limit",
     .kind = Kind::size,
     .target = &Config::memory_limit,
     .sentence =
         "The one bound on memory that grows with load: the newest records, bodies, replies, delivery. Records "
         "beyond it lie on the disk alone (in memory mode in files that the next start discards); puts are refused "
         "as throttled only when that has no room either. Nothing stored is dropped before its retention ends.",
     .min = 16 * kMiB,
     .max = 1024 * kTiB,
     .fallback_text = "a quarter of the memory of the machine or its cgroup"},
    {.path = "storage.file_size",
     .kind = Kind::size,
     .target = &Config::file_size,
     .sentence =
         "How large the files are that records are written to. A file goes when nothing in it is wanted any more: "
         "smaller ones give room back sooner, larger ones are fewer.",
     .min = kMiB,
     .max = 1024 * kMiB},
    {.path = "storage.disk_limit",
     .kind = Kind::size,
     .target = &Config::disk_limit,
     .sentence = "How much of the disk records may take, all files together. When it is reached, puts are refused as "
                 "throttled; nothing stored is dropped before its retention ends. At least four files of "
                 "`storage.file_size`.",
     .min = 4 * kMiB,
     .max = 1024 * kTiB,
     .fallback_text = "unset: as far as the disk goes"},
    {.path = "storage.on_damage",
     .kind = Kind::choice,
     .target = &Config::on_damage,
     .sentence =
         "What is done about damage in what was kept. `refuse`: a start that finds it ends, and says which file, "
         "where, and what it hides; reading what is found damaged later fails. `serve`: both go on without what "
         "cannot be read, the log says so, and `/_millrace/health` is degraded.",
     .choices = kOnDamage},
    {.path = "storage.encryption",
     .kind = Kind::choice,
     .target = &Config::encryption,
     .sentence =
         "`all`: what is written below `log/`, `state/` and `spill/` of `data_dir` is sealed by the newest of the keys "
         "(AES-256-GCM); `none`: it is plain, but for the records of [encrypted streams](kinesis.md#encryption). What "
         "is "
         "there already is read either way, if its key is given. Delivered objects are plain. "
         "[More](durability.md#encryption-at-rest).",
     .choices = kEncryptions},
    {.path = "storage.encryption_keys",
     .kind = Kind::key_file,
     .target = &Config::encryption_keys,
     .sentence =
         "The file with the keys, a line `<id> <key>` for each: the id a number from 1, the key 32 bytes in base64, as "
         "`openssl rand -base64 32` makes them; blank lines and what follows a `#` are passed over. The highest id "
         "seals, the others open what they sealed. Or `MILLRACE_STORAGE_ENCRYPTION_KEYS_TEXT` holds that text itself; "
         "there a comma ends a line too.",
     .fallback_text = "unset: no keys"},
    {.path = "tls.enabled",
     .kind = Kind::boolean,
     .target = &Config::tls_enabled,
     .sentence = "Whether both listeners take TLS too, on the same ports. [More](tls.md)."},
    {.path = "tls.certificate",
     .kind = Kind::path,
     .target = &Config::tls_certificate,
     .sentence =
         "The certificate to show, with those between it and its authority, in PEM; read again on SIGHUP. Unless "
         "given, the daemon makes its own authority and certificate under `tls/` of `data_dir`.",
     .fallback_text = "unset: the daemon's own"},
    {.path = "tls.key",
     .kind = Kind::path,
     .target = &Config::tls_key,
     .sentence = "The private key of `tls.certificate`, in PEM, without a password; it may be in the same file.",
     .fallback_text = "unset: the daemon's own"},
    {.path = "tls.hostnames",
     .kind = Kind::names,
     .target = &Config::tls_hostnames,
     .sentence =
         "More names for the daemon's own certificate: a list, or with commas between them, of DNS names, `*.` before "
         "one for all directly below it, and addresses. It has `localhost`, `*.localhost`, `*.execute-api.localhost`, "
         "`127.0.0.1`, `::1`, `host.docker.internal` and the machine's own name anyway, and is made again when the "
         "names change.",
     .fallback_text = "unset: no more"},
    {.path = "auth.mode",
     .kind = Kind::choice,
     .target = &Config::auth_mode,
     .sentence =
         "`verify`: AWS requests must be signed (Signature Version 4, in a header or the query) by one of "
         "`auth.credentials`, for `region`, within five minutes of this machine's clock; `presence`: they must carry "
         "credentials of the right form, whose values are not checked; `ignore`: unsigned requests are served too. "
         "APIs "
         "and the operator's pages are not signed. [More](auth.md).",
     .choices = kAuthModes,
     .fallback_text = "`verify` with `auth.credentials`, else `presence`"},
    {.path = "auth.credentials",
     .kind = Kind::path,
     .target = &Config::credentials,
     .sentence =
         "The file with the access keys that may sign, in the form of `~/.aws/credentials`: sections of any name with "
         "`aws_access_key_id` and `aws_secret_access_key`.",
     .fallback_text = "unset: none"},
    {.path = "log.level",
     .kind = Kind::choice,
     .target = &Config::log_level,
     .sentence = "The least severe lines that are logged, on standard error.",
     .choices = kLogLevels},
    {.path = "log.format",
     .kind = Kind::choice,
     .target = &Config::log_format,
     .sentence = "`auto`: text on a terminal, JSON lines otherwise.",
     .choices = kLogFormats},
    {.path = "threads",
     .kind = Kind::count,
     .target = &Config::threads,
     .sentence = "Network threads; 0 starts one for each CPU.",
     .max = 1024},
    {.path = "shutdown.deadline",
     .kind = Kind::duration,
     .target = &Config::shutdown_deadline,
     .sentence = "How long a stop may take to finish requests and deliver what the buffers hold.",
     .max = 60 * kMinute},
    {.path = "limits.enforce",
     .kind = Kind::boolean,
     .target = &Config::limits_enforced,
     .sentence = "Whether AWS's rates and account quotas apply. Sizes and counts of one request always do. "
                 "[More](kinesis.md#limits)."},
    {.path = "limits.limited",
     .kind = Kind::streams,
     .target = &Config::limited_streams,
     .sentence =
         "Streams that have the limits of their shards and calls though `limits.enforce` is `false`: a list, or with "
         "commas between them, of names; a `*` at the end of one stands for any rest.",
     .fallback_text = "unset: none"},
    {.path = "limits.exempt",
     .kind = Kind::streams,
     .target = &Config::exempt_streams,
     .sentence = "Streams that have none though it is `true`, written the same way.",
     .fallback_text = "unset: none"},
    {.path = "limits.shards",
     .kind = Kind::count,
     .target = &Config::shards_max,
     .sentence = "How many shards may be open at once, of all streams.",
     .min = 1,
     .max = 1'000'000,
     .fallback_text = "20000; with `limits.enforce` what AWS allows in `region`: 20000 in us-east-1, us-west-2 and "
                      "eu-west-1, else 6000"},
    {.path = "delays.stream_create",
     .kind = Kind::duration,
     .target = &Config::stream_create_delay,
     .sentence = "How long a stream or a consumer stays CREATING.",
     .max = 60 * kMinute},
    {.path = "delays.stream_update",
     .kind = Kind::duration,
     .target = &Config::stream_update_delay,
     .sentence = "How long a stream stays UPDATING.",
     .max = 60 * kMinute},
    {.path = "delays.stream_delete",
     .kind = Kind::duration,
     .target = &Config::stream_delete_delay,
     .sentence = "How long a stream or a consumer stays DELETING.",
     .max = 60 * kMinute},
    {.path = "delays.delivery_create",
     .kind = Kind::duration,
     .target = &Config::delivery_create_delay,
     .sentence = "How long a delivery stream stays CREATING.",
     .max = 60 * kMinute},
    {.path = "delays.delivery_delete",
     .kind = Kind::duration,
     .target = &Config::delivery_delete_delay,
     .sentence = "How long a delivery stream stays DELETING.",
     .max = 60 * kMinute},
    {.path = "admin.reset",
     .kind = Kind::boolean,
     .target = &Config::reset_enabled,
     .sentence = "Whether `POST /_millrace/reset` is served, under that URL and its [others](urls.md).",
     .fallback_text = "`true` where `storage.mode` is `memory`"},
};

constexpr Member kStreamMembers[] = {
    {"StreamName", "Required; 1 to 128 of letters, digits, `_`, `.` and `-`."},
    {"ShardCount",
     "Required: how many shards a new stream gets (without it a stream would be on demand: those are made by "
     "CreateStream). "
     "An existing stream keeps its own, and the log says so."},
    {"RetentionPeriodHours", "24 to 8760; 24 when absent."},
    {"Tags", "Names and values."},
};
constexpr Member kApiMembers[] = {
    {"name", "Required; tells the APIs apart."},
    {"id", "Ten of a-z and 0-9: the API's part in host names and paths. Derived from the name when absent."},
    {"openapi", "Required; an OpenAPI 3.0 file as AWS exports it, JSON or YAML, relative to the config file."},
    {"stages", "Required; the names under which the API is deployed: 1 to 128 of letters, digits, `_` and `-`."},
};
constexpr List kLists[] = {
    {"streams", "Kinesis streams that exist once the daemon is ready.", kStreamMembers},
    {"delivery_streams",
     "Delivery streams that exist once the daemon is ready: the members of Firehose's CreateDeliveryStream by their "
     "own "
     "names, checked by that operation.",
     {}},
    {"apis", "REST APIs that are deployed once the daemon is ready.", kApiMembers},
};

bool all_of(std::string_view text, std::string_view allowed) {
  return text.find_first_not_of(allowed) == std::string_view::npos;
}

constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kHostChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
constexpr std::size_t kHostCharactersMax = 253;
constexpr std::size_t kNamesMax = 100;

std::string size_text(std::uint64_t bytes) {
  static constexpr std::pair<std::uint64_t, std::string_view> units[] = {
      {kTiB, "TiB"}, {1ull << 30, "GiB"}, {1ull << 20, "MiB"}, {1ull << 10, "KiB"}};
  for (auto [factor, unit] : units)
    if (bytes >= factor && bytes % factor == 0) return std::to_string(bytes / factor).append(unit);
  return std::to_string(bytes);
}

std::string duration_text(std::uint64_t ms) {
  static constexpr std::pair<std::uint64_t, std::string_view> units[] = {{3'600'000, "h"}, {60'000, "m"}, {1000, "s"}};
  for (auto [factor, unit] : units)
    if (ms >= factor && ms % factor == 0) return std::to_string(ms / factor).append(unit);
  return ms == 0 ? "0s" : std::to_string(ms).append("ms");
}

std::string amount_text(Kind kind, std::uint64_t amount) {
  if (kind == Kind::size) return size_text(amount);
  if (kind == Kind::duration) return duration_text(amount);
  return std::to_string(amount);
}

// What the system would not take as the path of a directory.
std::string wrong_path(std::string_view text) {
  constexpr std::size_t kPathBytesMax = 4095, kNameBytesMax = 255;
  if (text.size() > kPathBytesMax) return "it is longer than " + std::to_string(kPathBytesMax) + " bytes";
  while (!text.empty()) {
    const std::size_t slash = std::min(text.find('/'), text.size());
    if (slash > kNameBytesMax) return "a name in it is longer than " + std::to_string(kNameBytesMax) + " bytes";
    text.remove_prefix(std::min(slash + 1, text.size()));
  }
  return {};
}

// Whether `text` is a number with a unit and only too large for `parse`, which knows the units.
template <class Parse>
bool too_large(std::string_view text, Parse parse) {
  const std::size_t unit = std::min(text.find_first_not_of(kDigits), text.size());
  return unit > 0 && parse("1" + std::string(text.substr(unit)));
}

}  // namespace

std::span<const Key> keys() noexcept { return kKeys; }
std::span<const List> lists() noexcept { return kLists; }

std::string joined(std::span<const std::string_view> words, std::string_view quote) {
  std::string out;
  for (std::string_view word : words) {
    if (!out.empty()) out += ", ";
    out.append(quote).append(word).append(quote);
  }
  return out;
}

std::string below(std::string_view path, std::string_view name) {
  return path.empty() ? printable(name) : std::string(path) + "." + printable(name);
}

std::string unknown_text(std::string_view name, std::span<const std::string_view> known, std::string_view section) {
  if (!section.empty())
    return "is not a known key here: write '" + printable(name.substr(name.rfind('.') + 1)) + "' below '" +
           std::string(section) + "'";
  if (std::string_view near = nearest(name, known); !near.empty())
    return "is not a known key; did you mean '" + std::string(near) + "'?";
  return "is not a known key; known here: " + joined(known, "");
}

std::string environment_name(std::string_view path) {
  std::string out = "MILLRACE_";
  for (char c : path) out += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

std::string_view kind_text(Kind kind) noexcept {
  switch (kind) {
    case Kind::address:
      return "address";
    case Kind::region:
      return "region name";
    case Kind::account:
      return "twelve digits";
    case Kind::path:
    case Kind::key_file:
      return "path";
    case Kind::choice:
      return "one of";
    case Kind::size:
      return "size";
    case Kind::duration:
      return "duration";
    case Kind::count:
      return "number";
    case Kind::boolean:
      return "true or false";
    case Kind::names:
    case Kind::streams:
      return "names";
  }
  return {};
}

std::string accepted_text(const Key& key) {
  switch (key.kind) {
    case Kind::address:
      return "an address such as localhost:4566, 0.0.0.0:4566 or [::1]:4566";
    case Kind::region:
      return "a region name such as us-east-1";
    case Kind::account:
      return "twelve digits";
    case Kind::path:
    case Kind::key_file:
      return "a path";
    case Kind::choice:
      return "one of " + joined(key.choices, "");
    case Kind::size:
      return "a size such as 512MiB or 12GiB, " + bounds_text(key);
    case Kind::duration:
      return "a duration such as 250ms, 8s or 5m, " + bounds_text(key);
    case Kind::count:
      return "a number, " + bounds_text(key);
    case Kind::boolean:
      return "true or false";
    case Kind::names:
      return "names such as [data.example, 10.0.0.7]";
    case Kind::streams:
      return "names such as [orders, test-*]";
  }
  return {};
}

std::string bounds_text(const Key& key) {
  if (key.kind == Kind::choice) return joined(key.choices, "`");
  if (key.kind != Kind::size && key.kind != Kind::duration && key.kind != Kind::count) return {};
  if (key.max == std::numeric_limits<std::uint64_t>::max()) return "at least " + amount_text(key.kind, key.min);
  return amount_text(key.kind, key.min) + " to " + amount_text(key.kind, key.max);
}

std::string default_text(const Key& key) {
  if (!key.fallback_text.empty()) return std::string(key.fallback_text);
  static const Config defaults;
  struct Render {
    const Key& key;
    std::string operator()(std::string Config::*m) const { return defaults.*m; }
    std::string operator()(std::filesystem::path Config::*m) const { return (defaults.*m).string(); }
    std::string operator()(std::size_t Config::*m) const { return amount_text(key.kind, defaults.*m); }
    std::string operator()(std::chrono::milliseconds Config::*m) const {
      return duration_text(static_cast<std::uint64_t>((defaults.*m).count()));
    }
    std::string operator()(bool Config::*m) const { return defaults.*m ? "true" : "false"; }
    // These have a fallback_text.
    std::string operator()(std::optional<bool> Config::*) const { return {}; }
    std::string operator()(std::vector<std::string> Config::*) const { return {}; }
  };
  return std::visit(Render{key}, key.target);
}

std::string set_value(const Key& key, std::string_view text, Config& config) {
  auto in_bounds = [&](std::uint64_t amount) -> std::string {
    if (amount >= key.min && amount <= key.max) return {};
    return in_quotes(text) + " is out of range: " + bounds_text(key);
  };
  switch (key.kind) {
    case Kind::address:
      if (!parse_address(text))
        return in_quotes(text) + " is not an address: write localhost:4566, 0.0.0.0:4566 or [::1]:4566";
      config.*std::get<std::string Config::*>(key.target) = text;
      return {};
    case Kind::region:
      if (!services::is_region(text)) return in_quotes(text) + " is not a region name: write one like us-east-1";
      config.*std::get<std::string Config::*>(key.target) = text;
      return {};
    case Kind::account:
      if (!services::is_account(text)) return in_quotes(text) + " is not an account: write twelve digits";
      config.*std::get<std::string Config::*>(key.target) = text;
      return {};
    case Kind::key_file:
      if (looks_like_a_key(text))
        return "holds a key, where the path of a file with keys belongs: write a path, or give the text in " +
               std::string(kKeysVariable);
      [[fallthrough]];
    case Kind::path:
      if (text.empty()) return "is empty: write a path";
      if (auto wrong = wrong_path(text); !wrong.empty()) return in_quotes(text) + " is not a path: " + wrong;
      config.*std::get<std::filesystem::path Config::*>(key.target) = text;
      return {};
    case Kind::choice:
      if (std::find(key.choices.begin(), key.choices.end(), text) == key.choices.end())
        return in_quotes(text) + " is not known: use one of " + joined(key.choices, "");
      config.*std::get<std::string Config::*>(key.target) = text;
      return {};
    case Kind::size: {
      auto bytes = parse_size(text);
      if (too_large(text, parse_size) && !bytes) return in_quotes(text) + " is out of range: " + bounds_text(key);
      if (!bytes) return in_quotes(text) + " is not a size: write 512MiB, 12GiB or a number of bytes";
      if (auto wrong = in_bounds(*bytes); !wrong.empty()) return wrong;
      config.*std::get<std::size_t Config::*>(key.target) = *bytes;
      return {};
    }
    case Kind::duration: {
      auto duration = parse_duration(text);
      if (too_large(text, parse_duration) && !duration)
        return in_quotes(text) + " is out of range: " + bounds_text(key);
      if (!duration) return in_quotes(text) + " is not a duration: write 250ms, 8s, 5m or 1h";
      if (auto wrong = in_bounds(static_cast<std::uint64_t>(duration->count())); !wrong.empty()) return wrong;
      config.*std::get<std::chrono::milliseconds Config::*>(key.target) = *duration;
      return {};
    }
    case Kind::count: {
      std::size_t number = 0;
      auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error == std::errc::result_out_of_range) return in_quotes(text) + " is out of range: " + bounds_text(key);
      if (error != std::errc{} || end != text.data() + text.size())
        return in_quotes(text) + " is not a whole number: write " + bounds_text(key);
      if (auto wrong = in_bounds(number); !wrong.empty()) return wrong;
      config.*std::get<std::size_t Config::*>(key.target) = number;
      return {};
    }
    case Kind::boolean:
      if (text != "true" && text != "false") return in_quotes(text) + " is not true or false: write one of them";
      if (const auto* unset_by_default = std::get_if<std::optional<bool> Config::*>(&key.target))
        config.** unset_by_default = text == "true";
      else
        config.*std::get<bool Config::*>(key.target) = text == "true";
      return {};
    case Kind::names:
    case Kind::streams: {
      std::vector<std::string> names;
      for (std::string_view rest = text;;) {
        const std::size_t comma = std::min(rest.find(','), rest.size());
        std::string_view name = rest.substr(0, comma);
        name.remove_prefix(std::min(name.find_first_not_of(' '), name.size()));
        name = name.substr(0, name.find_last_not_of(' ') + 1);
        if (const std::string wrong = wrong_name(key, name); !wrong.empty())
          return in_quotes(name) + " " + wrong + ": write " + accepted_text(key);
        names.emplace_back(name);
        if (comma == rest.size()) break;
        rest.remove_prefix(comma + 1);
      }
      if (names.size() > kNamesMax)
        return "holds " + std::to_string(names.size()) + " names: at most " + std::to_string(kNamesMax) + " are taken";
      config.*std::get<std::vector<std::string> Config::*>(key.target) = std::move(names);
      return {};
    }
  }
  return "is of an unknown kind";
}

std::string wrong_name(const Key& key, std::string_view name) {
  if (key.kind == Kind::names) return is_certificate_name(name) ? "" : "is no name of a machine and no address";
  constexpr std::size_t kCharactersMax = 128;
  const std::string_view plain = name.substr(0, name.size() - (name.ends_with('*') ? 1 : 0));
  return name.empty() || plain.size() > kCharactersMax || !all_of(plain, kHostChars) ? "is no name of a stream" : "";
}

bool is_certificate_name(std::string_view text) {
  boost::system::error_code not_literal;
  boost::asio::ip::make_address(text, not_literal);
  if (!not_literal) return true;
  if (text.starts_with("*.")) text.remove_prefix(2);
  if (text.empty() || text.size() > kHostCharactersMax || all_of(text, "0123456789.")) return false;
  for (;;) {
    constexpr std::size_t kLabelCharactersMax = 63;
    const std::size_t dot = std::min(text.find('.'), text.size());
    const std::string_view label = text.substr(0, dot);
    if (label.empty() || label.size() > kLabelCharactersMax || label.front() == '-' || label.back() == '-' ||
        !all_of(label, kHostChars))
      return false;
    if (dot == text.size()) return true;
    text.remove_prefix(dot + 1);
  }
}

std::optional<Address> parse_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  std::string_view host = text.substr(0, colon), port = text.substr(colon + 1);
  boost::system::error_code not_literal;
  Address address;
  auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (port.empty() || error != std::errc{} || end != port.data() + port.size()) return std::nullopt;
  if (host.front() == '[') {
    if (host.back() != ']') return std::nullopt;
    address.host = boost::asio::ip::make_address_v6(host.substr(1, host.size() - 2), not_literal).to_string();
    if (not_literal) return std::nullopt;
    return address;
  }
  // An IPv6 address without its brackets is told apart from host:port by the characters of a name.
  if (host.size() > kHostCharactersMax || !all_of(host, kHostChars)) return std::nullopt;
  address.host = host;
  for (char& c : address.host) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (all_of(host, "0123456789.")) {
    address.host = boost::asio::ip::make_address_v4(host, not_literal).to_string();
    if (not_literal) return std::nullopt;
  }
  return address;
}

bool same_listener(const Address& a, const Address& b) {
  if (a.port != b.port || a.port == 0) return false;
  auto covers = [](const Address& wide, const Address& narrow) {
    const bool narrow_v4 = narrow.host.find(':') == std::string::npos;
    if (wide.host == narrow.host || wide.host == "::") return true;  // :: takes IPv4 too
    if (wide.host == "0.0.0.0") return narrow_v4;
    return narrow.host == "localhost" && (wide.host == "127.0.0.1" || wide.host == "::1");
  };
  return covers(a, b) || covers(b, a);
}

}  // namespace millrace::config
