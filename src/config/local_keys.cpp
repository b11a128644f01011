#include "millrace/config/local_keys.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <string>

#include "config/mistakes.hpp"
#include "millrace/base/log.hpp"
#include "millrace/base/random.hpp"
#include "millrace/codec/base64.hpp"
#include "millrace/config/encryption_keys.hpp"

namespace millrace::config {
namespace {

namespace fs = std::filesystem;

Error failed(const fs::path& file, const std::string& why) {
  Mistakes mistakes(file);
  mistakes.add(0, "", why);
  return mistakes.error();
}

/// Whole or not at all, on the disk when it returns; never there for others to read, not even for a moment.
bool write_secret(const fs::path& file, const std::string& text) {
  const fs::path unfinished = file.string() + ".tmp";
  ::unlink(unfinished.c_str());
  const int opened = ::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (opened < 0) return false;
  bool good = ::write(opened, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(opened) == 0;
  good &= ::close(opened) == 0;
  if (!good || ::rename(unfinished.c_str(), file.c_str()) != 0) return false;
  const fs::path parent = file.has_parent_path() ? file.parent_path() : ".";
  const int directory = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return false;
  good = ::fsync(directory) == 0;
  ::close(directory);
  return good;
}

class OwnKeys final : public LocalKeys {
 public:
  explicit OwnKeys(fs::path file) : file_(std::move(file)) {}
  ~OwnKeys() override { ::explicit_bzero(own_.data(), own_.size()); }

  Result<> read() {
    std::error_code unknown;
    if (file_.empty() || !fs::exists(file_, unknown)) return {};
    auto read = read_encryption_keys(file_, /*seals=*/true);
    if (!read) return read.error();
    for (const std::string& warning : read->warnings) logging::warn(warning);
    std::lock_guard lock(mutex_);
    read_ = std::move(read->keys);
    return {};
  }

  std::uint32_t current() const noexcept override { return 0; }
  std::uint32_t newest() const noexcept override {
    std::lock_guard lock(mutex_);
    return read_ ? read_->current() : made_ ? kId : 0;
  }
  std::optional<Key> key(std::uint32_t id) const override {
    std::lock_guard lock(mutex_);
    if (read_) return read_->key(id);
    return made_ && id == kId ? std::optional(own_) : std::nullopt;
  }

  Result<> prepare(Random& random) override {
    std::lock_guard preparing(preparing_);
    if (newest() != 0) return {};
    Key key;
    random.secret(key);
    if (!file_.empty()) {
      std::string bytes(reinterpret_cast<const char*>(key.data()), key.size());
      std::string text = "# Seals the records of encrypted streams: without it nobody reads them.\n" +
                         std::to_string(kId) + " " + codec::base64::encode(bytes) + "\n";
      ::explicit_bzero(bytes.data(), bytes.size());
      const bool written = write_secret(file_, text);
      const int why = errno;
      ::explicit_bzero(text.data(), text.size());
      if (!written) return failed(file_, std::string("cannot be written: ") + std::strerror(why));
    }
    std::lock_guard lock(mutex_);
    own_ = key;
    made_ = true;
    return {};
  }

 private:
  static constexpr std::uint32_t kId = 1;
  const fs::path file_;
  std::mutex preparing_;  // before mutex_
  mutable std::mutex mutex_;
  std::shared_ptr<const Keys> read_;  // those of the file; null: there was none
  Key own_{};
  bool made_ = false;
};

}  // namespace

Result<std::shared_ptr<LocalKeys>> local_keys(const fs::path& file) {
  auto keys = std::make_shared<OwnKeys>(file);
  if (auto read = keys->read(); !read) return read.error();
  return std::shared_ptr<LocalKeys>(std::move(keys));
}

}  // namespace millrace::config
