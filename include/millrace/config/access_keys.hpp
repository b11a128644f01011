#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "millrace/config/config.hpp"

/// Who may sign requests, from a file such as the AWS tools keep (`~/.aws/credentials`): sections, of whatever name,
/// with `aws_access_key_id` and `aws_secret_access_key`; what else a section says is of no use here and passed over. No
/// message holds a part of a secret.
namespace millrace::config {

struct AccessKeys {
  std::vector<AccessKey> keys;  ///< one at least, each id once
  std::vector<std::string> warnings;
};
/// Warns when others than the file's owner and group may read or change it.
Result<AccessKeys> read_access_keys(const std::filesystem::path& file);

}  // namespace millrace::config
