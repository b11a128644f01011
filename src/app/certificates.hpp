#pragma once
#include <memory>
#include <string>

#include "millrace/base/guarded.hpp"
#include "millrace/config/config.hpp"
#include "millrace/net/certificates.hpp"
#include "millrace/net/tls.hpp"

namespace millrace::app {

/// What the listeners show: the daemon's own certificate, made and renewed under `<data_dir>/tls`, or the user's. On
/// the main thread, authority() apart.
class Certificates {
 public:
  /// The data directory is locked. Throws StartError.
  explicit Certificates(const config::Config& config);

  const std::shared_ptr<net::Tls>& tls() const noexcept { return tls_; }
  /// PEM; empty where the certificate is the user's. Any thread.
  std::string authority() const {
    return authority_.with([](const std::string& pem) { return pem; });
  }
  /// A line for a person: what clients need.
  std::string describe() const;

  /// Reads again what is there. What cannot be used changes nothing and is logged.
  void reload();
  /// From time to time: renews, and gives session tickets a fresh key twice a day.
  void look();

 private:
  struct Read {
    net::TlsMaterial material;
    std::string authority;
    net::SystemTime renew_at = net::SystemTime::max();
  };
  net::Result<Read> read() const;
  bool use(const char* why);

  const config::Config& config_;
  std::shared_ptr<net::Tls> tls_;
  Guarded<std::string> authority_;
  net::SystemTime renew_at_, fresh_until_;
};

/// Throws StartError when the user's own certificate cannot be used. Looks at nothing else.
void check_certificate(const config::Config& config, bool warn);

}  // namespace millrace::app
