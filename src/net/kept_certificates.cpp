#include <fcntl.h>
#include <openssl/err.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <cctype>
#include <cerrno>
#include <optional>
#include <system_error>

#include "millrace/net/certificates.hpp"
#include "net/openssl_owned.hpp"

namespace millrace::net {

namespace {

namespace fs = std::filesystem;

constexpr std::chrono::hours kDay{24};
constexpr auto kRenewBefore = 30 * kDay, kRenewAuthorityBefore = 90 * kDay, kWarnBefore = 14 * kDay;
constexpr std::size_t kFileBytesMax = 1u << 20;
constexpr mode_t kForAll = 0644, kForOwner = 0600;

Error failed(const fs::path& path, const std::string& what) { return {Errc::failed, path.string() + ": " + what}; }
std::string said(int error) { return std::generic_category().message(error); }

class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

/// Nothing: there is no such file.
Result<std::optional<std::string>> read_if_there(const fs::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0 && errno == ENOENT) return std::optional<std::string>();
  if (file.get() < 0) return failed(path, said(errno));
  std::string text;
  char piece[4096];
  for (;;) {
    const ssize_t got = ::read(file.get(), piece, sizeof piece);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(path, said(errno));
    if (got == 0) return std::optional(std::move(text));
    text.append(piece, static_cast<std::size_t>(got));
    if (text.size() > kFileBytesMax) return failed(path, "is too large for a certificate or key");
  }
}

Result<std::string> read_file(const fs::path& path) {
  auto text = read_if_there(path);
  if (!text) return text.error();
  if (!*text) return failed(path, said(ENOENT));
  return **std::move(text);
}

/// So that a name in it is still there when the machine has lost its power.
void sync_directory(const fs::path& path) {
  const Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) ::fsync(directory.get());
}

/// Whole or not at all, on the disk when it returns. Not through Files, which has no modes: a key must never be there
/// for others to read, not even for a moment.
Result<> write_file(const fs::path& path, const std::string& text, mode_t mode) {
  const fs::path unfinished = path.string() + ".tmp";
  ::unlink(unfinished.c_str());
  const Descriptor file(::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (file.get() < 0) return failed(unfinished, said(errno));
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t put = ::write(file.get(), text.data() + at, text.size() - at);
    if (put < 0 && errno != EINTR) return failed(unfinished, said(errno));
    if (put > 0) at += static_cast<std::size_t>(put);
  }
  if (::fsync(file.get()) != 0) return failed(unfinished, said(errno));
  if (::rename(unfinished.c_str(), path.c_str()) != 0) return failed(path, said(errno));
  sync_directory(path.parent_path());
  return Result<>{};
}

/// The key first: a certificate is there only when its key is.
Result<> write_pair(const fs::path& directory, const std::string& name, const TlsMaterial& material) {
  if (auto written = write_file(directory / (name + ".key"), material.key, kForOwner); !written) return written;
  return write_file(directory / (name + ".pem"), material.certificates, kForAll);
}

std::string machine_name() {
  char name[256] = "";
  if (::gethostname(name, sizeof name - 1) != 0) return {};
  return name;
}

/// In the order of a certificate; each once.
std::vector<std::string> names_of_this(const std::vector<std::string>& hostnames) {
  std::vector<std::string> names{"localhost", "*.localhost", "*.execute-api.localhost",
                                 "127.0.0.1", "::1",         "host.docker.internal"};
  const auto add = [&](std::string name) {
    boost::system::error_code no_address;
    const auto address = boost::asio::ip::make_address(name, no_address);
    if (!no_address) name = address.to_string();
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const bool fits =
        !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) { return c > ' ' && c < 0x7f; });
    if (fits && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
  };
  add(machine_name());
  for (const std::string& name : hostnames) add(name);
  return names;
}

bool belong_together(const TlsMaterial& pair) {
  const Owned<X509> certificate = read_certificate(pair.certificates);
  const Owned<EVP_PKEY> key = read_key(pair.key);
  const bool together = certificate && key && X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  return together;
}

bool is_signed_by(const std::string& certificate, const std::string& authority) {
  const Owned<X509> one = read_certificate(certificate), signer = read_certificate(authority);
  const bool by = one && signer && X509_check_issued(signer.get(), one.get()) == X509_V_OK &&
                  X509_verify(one.get(), X509_get0_pubkey(signer.get())) == 1;
  ERR_clear_error();
  return by;
}

Result<TlsMaterial> keep_authority(const fs::path& directory, SystemTime now, std::vector<std::string>& news) {
  const fs::path path = directory / "ca.pem";
  auto there = read_if_there(path);
  if (!there) return there.error();
  std::string why = "made";
  if (*there) {
    TlsMaterial authority{**std::move(there), {}};
    const auto facts = facts_of(authority.certificates);
    if (!facts) return failed(path, "is no certificate; where nobody needs it any more, remove it and ca.key");
    if (now + kRenewAuthorityBefore < facts->until) {
      auto key = read_file(directory / "ca.key");
      if (!key) return Error{Errc::failed, key.error().detail + "; where nobody needs ca.pem any more, remove it too"};
      authority.key = *std::move(key);
      if (!belong_together(authority))
        return failed(directory / "ca.key", "is not the key of ca.pem; where nobody needs them any more, remove both");
      return authority;
    }
    why = "made, since the one before ends soon";
  }
  auto made = make_authority(now);
  if (!made) return made;
  if (auto written = write_pair(directory, "ca", *made); !written) return written.error();
  news.push_back("a certificate authority was " + why + ": clients that trust " + path.string() +
                 " can use https on the same ports");
  return made;
}

/// Why another certificate is wanted; empty: it is not.
std::string why_not(const TlsMaterial& there, const std::string& authority, const std::vector<std::string>& names,
                    SystemTime now) {
  const auto facts = facts_of(there.certificates);
  if (!facts || !belong_together(there)) return "the one before cannot be used";
  if (!is_signed_by(there.certificates, authority)) return "the one before is of another authority";
  if (now + kRenewBefore >= facts->until) return "the one before ends soon";
  if (now < facts->from) return "the one before is of a later time";
  if (facts->names != names) return "the names are others";
  return {};
}

std::string days_text(SystemTime until, SystemTime now) {
  const auto days = std::chrono::duration_cast<std::chrono::hours>(until - now) / kDay;
  return days == 1 ? "1 day" : std::to_string(days) + " days";
}

}  // namespace

Result<KeptCertificates> keep_certificates(const fs::path& directory, const std::vector<std::string>& hostnames,
                                           SystemTime now) {
  std::error_code error;
  const bool fresh = fs::create_directories(directory, error);
  if (error && !fs::is_directory(directory)) return failed(directory, error.message());
  if (fresh) sync_directory(directory.has_parent_path() ? directory.parent_path() : ".");
  KeptCertificates kept;
  auto authority = keep_authority(directory, now, kept.news);
  if (!authority) return authority.error();
  kept.authority = authority->certificates;

  const std::vector<std::string> names = names_of_this(hostnames);
  auto there = read_if_there(directory / "server.pem");
  if (!there) return there.error();
  std::string why = "there was none";
  if (*there) {
    auto key = read_if_there(directory / "server.key");
    if (!key) return key.error();
    kept.material = {**std::move(there), (*key).value_or("")};
    why = why_not(kept.material, kept.authority, names, now);
  }
  if (!why.empty()) {
    auto made = make_certificate(*authority, names, now);
    if (!made) return made.error();
    if (auto written = write_pair(directory, "server", *made); !written) return written.error();
    kept.material = *std::move(made);
    kept.news.push_back("a certificate was made: " + why);
  }
  const auto facts = facts_of(kept.material.certificates);
  if (!facts) return facts.error();
  kept.renew_at = facts->until - kRenewBefore;
  return kept;
}

Result<OwnCertificates> read_certificates(const fs::path& certificates, const fs::path& key, SystemTime now) {
  OwnCertificates own;
  auto text = read_file(certificates);
  if (!text) return text.error();
  auto key_text = read_file(key);
  if (!key_text) return key_text.error();
  own.material = {*std::move(text), *std::move(key_text)};
  if (auto usable = Tls::make(own.material); !usable) {
    std::string both = certificates.string();
    if (key != certificates) both += " and " + key.string();
    return failed(both, usable.error().detail);
  }
  const auto facts = facts_of(own.material.certificates);
  if (!facts) return failed(certificates, facts.error().detail);
  if (facts->until <= now)
    own.warnings.push_back(certificates.string() + ": the certificate is over: clients will refuse it");
  else if (facts->until <= now + kWarnBefore)
    own.warnings.push_back(certificates.string() + ": the certificate ends within " + days_text(facts->until, now));
  struct stat status {};
  if (::stat(key.c_str(), &status) == 0 && (status.st_mode & (S_IROTH | S_IWOTH)) != 0)
    own.warnings.push_back(key.string() + ": others than its owner and group may read or change the key");
  return own;
}

}  // namespace millrace::net
