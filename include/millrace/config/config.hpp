#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/result.hpp"

namespace millrace::journal {
class Keys;
}

/// The one table of keys: reads, validates, documents.
namespace millrace::config {

class LocalKeys;

/// `detail` is the whole message for the user: a mistake a line as `file:line: key: what is wrong, what would be
/// right`, in the order of lines; past the fiftieth only how many there are.
enum class Errc { invalid = 1 };
struct Error : ErrorOf<Errc> {
  std::size_t mistakes = 1;
};
template <class T = void>
using Result = ResultOf<T, Error>;

/// A member of a declaration, at any depth: where it stands in the file.
struct DeclaredMember {
  std::string path;   ///< `delivery_streams[0].ExtendedS3DestinationConfiguration.Prefix`
  std::string name;   ///< the last word of it
  std::string value;  ///< of a scalar
  int line = 0;
};
/// A declared stream or delivery stream: the members of CreateStream / CreateDeliveryStream as JSON text. Names, types
/// and bounds were checked by the operation's table of members; what more it asks for it says itself when it is called.
struct Declaration {
  std::string name;
  std::string json;  ///< a stream's may hold RetentionPeriodHours too, which CreateStream has not
  int line = 0;
  std::string path = {};                     ///< `streams[0]`
  std::vector<DeclaredMember> members = {};  ///< in their order
};
struct ApiDeclaration {
  std::string name, id;
  std::filesystem::path openapi;
  std::vector<std::string> stages;
  int line = 0;
  std::string path = {};  ///< `apis[0]`
  int openapi_line = 0;
};

/// Who may sign requests, and with what.
struct AccessKey {
  std::string id, secret;
  std::string account = {};  ///< empty: not said
};

struct Config {
  std::filesystem::path file;  ///< empty: built-in defaults
  std::string listen_aws = "localhost:4566";
  std::string listen_gateway = "localhost:8080";
  std::string region = "us-east-1";
  std::string account_id = "000000000000";
  bool multi_account = false;
  std::filesystem::path data_dir = "data";  ///< relative to the working directory
  std::string storage_mode = "memory";
  std::string storage_sync = "always";
  std::size_t disk_limit =
      std::numeric_limits<std::size_t>::max();  ///< bytes, of records; unset: as far as the disk goes
  std::string on_damage = "refuse";
  std::string encryption = "none";
  std::filesystem::path encryption_keys;  ///< empty: unset; relative to the working directory
  /// Of the file above or the environment; null: none. They seal all where `encryption` is `all`, else what is put to
  /// encrypted streams.
  std::shared_ptr<const journal::Keys> keys;
  /// `keys` where the configuration gives none: set by who has the data directory.
  std::shared_ptr<LocalKeys> local_keys;
  std::size_t file_size = 64u << 20;  ///< bytes
  std::size_t memory_limit = 0;       ///< bytes; load() fills in what the machine suggests
  bool tls_enabled = true;
  std::filesystem::path tls_certificate, tls_key;  ///< both empty: the daemon's own; relative to the working directory
  std::vector<std::string> tls_hostnames;          ///< DNS names and addresses, as given
  std::string auth_mode;               ///< load() fills it in where it is unset: verify with credentials, else presence
  std::filesystem::path credentials;   ///< empty: unset; relative to the working directory
  std::vector<AccessKey> access_keys;  ///< of the file above
  std::string log_level = "info", log_format = "auto";
  std::size_t threads = 0;  ///< 0: one a CPU
  std::chrono::milliseconds shutdown_deadline = std::chrono::seconds{8};
  std::chrono::milliseconds stream_create_delay{0}, stream_update_delay{0}, stream_delete_delay{0};
  std::chrono::milliseconds delivery_create_delay{0}, delivery_delete_delay{0};
  bool limits_enforced = false;
  std::vector<std::string> limited_streams, exempt_streams;  ///< names; a `*` at the end of one stands for any rest
  std::size_t shards_max = 0;                                ///< 0: as limits_enforced and the region say
  std::optional<bool> reset_enabled;                         ///< unset: as the storage mode says
  std::vector<Declaration> streams, delivery_streams;
  std::vector<ApiDeclaration> apis;
};

using Environment = std::map<std::string, std::string>;  ///< MILLRACE_* variables
struct Loaded {
  Config config;
  std::vector<std::string> warnings;  ///< unknown MILLRACE_* names
};
/// Reads the file (nothing: defaults), then the environment over it; validates all. Every mistake found is told, one a
/// line.
Result<Loaded> load(const std::optional<std::filesystem::path>& file, const Environment& environment);
/// docs/configuration.md, whole, from the table.
std::string document();
/// `12GiB`, `512MiB`, `1048576`; nothing when it is not a size.
std::optional<std::size_t> parse_size(std::string_view text) noexcept;
/// `8s`, `250ms`, `5m`, `1h`.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) noexcept;

}  // namespace millrace::config
