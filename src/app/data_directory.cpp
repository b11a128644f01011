#include "app/data_directory.hpp"

#include <cerrno>
#include <string>
#include <system_error>

#include "app/start_error.hpp"

namespace millrace::app {
namespace {

StartError unusable(const std::filesystem::path& path, const std::string& why) {
  return StartError("data_dir: " + path.string() + " " + why);
}

}  // namespace

DataDirectory::DataDirectory(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error && !std::filesystem::is_directory(path)) throw unusable(path, "cannot be made: " + error.message());
  lock_.emplace(path / ".lock");  // which also proves that the directory can be written
  const int failed = lock_->error_number();
  if (!lock_->opened()) throw unusable(path, "cannot be written: " + std::generic_category().message(failed));
  if (!lock_->held())
    throw unusable(path, failed == EWOULDBLOCK ? "is in use by another millrace"
                                               : "cannot be locked: " + std::generic_category().message(failed));
}

}  // namespace millrace::app
